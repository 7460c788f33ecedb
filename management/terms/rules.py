"""What terms of use may contain, and when a device is asked. Pure.

Uploaded HTML is shown on other people's phones and in the console, so it is rebuilt from a short
list of elements without any way to load, link or run something. nh3 (ammonia) does it.
"""

import html
import re
from hashlib import sha256

import nh3

LARGEST_BYTES = 64_000
"""Each device that is asked again gets a sealed copy of its own."""
_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "div", "span", "section"),
    *("ul", "ol", "li", "dl", "dt", "dd", "blockquote", "pre", "code"),
    *("b", "strong", "i", "em", "u", "s", "small", "sub", "sup", "ruby", "rt", "rp"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
}
_ATTRIBUTES = {"*": {"lang", "dir"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"<[^>]*>")
SAMPLE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Terms of use for managed devices</title>
<h1>Terms of use for managed devices</h1>
<p>Change this sample as your company needs it, then upload it. Headings, paragraphs, lists, tables
and emphasis are kept; scripts, pictures, links, forms and styles are removed.</p>
<h2>What the agent does</h2>
<ul>
<li>It tells the company the model, system version, security settings and installed apps.</li>
<li>It applies the company's policy: screen lock, encryption, allowed apps, mail and Wi-Fi.</li>
<li>It can lock the device, locate it when it is lost, and erase company data.</li>
</ul>
<h2>What it does not do</h2>
<p>It reads no messages, photographs or private documents.</p>
<h2>What you promise</h2>
<ol>
<li>You keep the agent installed and the screen lock switched on.</li>
<li>You report a lost device on the same day.</li>
</ol>
<hr>
<div lang="ja">
<h1>管理対象端末の利用条件</h1>
<p>これは見本です。自社に合わせて書き換えてからアップロードしてください。</p>
<h2>エージェントが行うこと</h2>
<ul>
<li>機種、OSのバージョン、セキュリティ設定、インストール済みアプリを会社に報告します。</li>
<li>画面ロック、暗号化、許可アプリ、メール、Wi-Fiなど、会社のポリシーを適用します。</li>
<li>端末のロック、紛失時の位置確認、業務データの消去を行うことがあります。</li>
</ul>
<h2>エージェントが行わないこと</h2>
<p>メッセージ、写真、個人の文書は読み取りません。</p>
<h2>利用者の約束</h2>
<ol>
<li>エージェントを削除せず、画面ロックを有効にしておきます。</li>
<li>端末を紛失したときは、当日中に届け出ます。</li>
</ol>
</div>
</html>
"""
"""Sample to download; ours, not a legal text."""


def sanitised(uploaded: str) -> str:
    """Return what may be shown of an uploaded document; the same again when given that."""
    body = _TITLE.sub("", uploaded)
    return nh3.clean(
        body,
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "template", "iframe", "object", "svg"},
        attributes=_ATTRIBUTES,
        url_schemes=set(),
        link_rel=None,
        strip_comments=True,
    ).strip()


def title_of(uploaded: str) -> str:
    """Return the document's title, as plain text of at most 200 characters."""
    found = _TITLE.search(uploaded)
    return " ".join(html.unescape(words(found[1])).split())[:200] if found else ""


def words(document: str) -> str:
    """Return a document without its elements."""
    return _WORDS.sub(" ", document)


def problem(uploaded: bytes, clean: str) -> str:
    """Return why an upload cannot be terms of use, or nothing."""
    if len(uploaded) > LARGEST_BYTES or len(clean) > LARGEST_BYTES:
        return f"Terms of use have at most {LARGEST_BYTES // 1000} kB."
    if not words(clean).strip():
        return "Nothing to read is left of this file. Is it an HTML document with text?"
    return ""


def document(title: str, clean: str) -> str:
    """Return a whole page that shows the terms, for a sandboxed frame."""
    return (
        '<!doctype html><html><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><body>{clean}</body></html>"
    )


def hashed(clean: str) -> str:
    """Return the SHA-256 of the sanitised text."""
    return sha256(clean.encode()).hexdigest()


def must_accept(current: int | None, accepted: int | None) -> bool:
    """Return whether somebody who enrols must be shown the terms first."""
    return current is not None and accepted != current
