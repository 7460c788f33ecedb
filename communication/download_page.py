"""The page behind `/mobile`: where a phone gets its agent. English and Japanese, light and dark.

Nothing on it comes from another host, and nothing on it is personal: everybody sees the same.
"""

from html import escape
from io import BytesIO

import segno

from contracts.download import Download, DownloadValues, link_of

LANGUAGES = {"en": "English", "ja": "日本語"}
_STYLE = """
:root{color-scheme:light dark;--ink:#18222d;--soft:#55626f;--page:#f4f6f8;--card:#fff;
--line:#d5dce3;--link:#0060a8;--button:#0060a8}
@media(prefers-color-scheme:dark){:root{--ink:#e6ecf2;--soft:#a3b1bf;--page:#12181f;--card:#1b242e;
--line:#36424f;--link:#8ec5ff;--button:#1668a8}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:1.0625rem/1.65 system-ui,"Noto Sans JP","Hiragino Sans",sans-serif}
header,main{max-width:44rem;margin:0 auto;padding:1rem}header{display:flex;gap:1rem;
justify-content:space-between;flex-wrap:wrap;align-items:baseline}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;
padding:1.25rem 1.5rem;margin-bottom:1rem}
h1{font-size:1.6rem;line-height:1.3;margin:.2rem 0 .6rem}h2{font-size:1.1rem;margin:0 0 .5rem}
a{color:var(--link)}.get{display:inline-block;background:var(--button);color:#fff;padding:.9rem
1.6rem;border-radius:.6rem;text-decoration:none;font-weight:700;font-size:1.1rem}
a:focus-visible{outline:3px solid var(--link);outline-offset:3px}ol{padding-left:1.4rem}
li{margin-bottom:.3rem}.soft{color:var(--soft)}dl{display:grid;
grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0}dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}code{font-size:.9em;overflow-wrap:anywhere}
.qr{background:#fff;padding:.75rem;border-radius:.5rem;display:inline-block;line-height:0}
.qr svg{width:13rem;height:13rem}
"""
_WORDS = {
    "en": {
        "title": "Get the agent for this phone",
        "none": "This server has no agent package to hand out yet. Ask your administrator how to "
        "enrol this device; an invitation (a QR code, a link or a key) names this server.",
        "get": "Download for Android",
        "inside": "Server and enrolment key are inside already: nothing to type.",
        "no_key": "The server’s address is inside already. Have the key or QR code of your "
        "invitation at hand.",
        "steps": "How it goes",
        "step1": "Download the package and open it.",
        "step2": "Allow your browser to install this app, once, if Android asks for it.",
        "step3": "Open the agent and follow it. It may show terms of use, and ask for your user "
        "name and password.",
        "qr": "On a computer?",
        "qr_text": "Scan this code with the agent, if the phone has it already. It says the same "
        "as what is inside the package.",
        "details": "About the package",
        "version": "Version",
        "size": "Size",
        "server": "Server",
        "signer": "Signed with the key",
        "apple": "iPhone and iPad",
        "apple_text": "They need no package from here. Ask your administrator for an invitation.",
        "other": "日本語",
    },
    "ja": {
        "title": "このデバイスのエージェントを入手する",
        "none": "このサーバーには、まだ配布できるエージェントがありません。デバイスの登録方法は"
        "管理者にお問い合わせください。招待のQRコード、リンク、または登録キーがこのサーバーを示します。",
        "get": "Android版をダウンロード",
        "inside": "サーバーと登録キーは設定済みです。入力するものはありません。",
        "no_key": "サーバーのアドレスは設定済みです。招待の登録キーかQRコードをご用意ください。",
        "steps": "手順",
        "step1": "パッケージをダウンロードして開きます。",
        "step2": "確認が表示されたら、ブラウザーからのアプリのインストールを一度だけ許可します。",
        "step3": "エージェントを開き、画面に従います。利用条件の同意や、ユーザー名とパスワードの"
        "入力を求められることがあります。",
        "qr": "パソコンでご覧の方へ",
        "qr_text": "エージェントがすでにデバイスにある場合は、このコードを読み取ってください。"
        "内容はパッケージの中の設定と同じです。",
        "details": "パッケージの情報",
        "version": "バージョン",
        "size": "サイズ",
        "server": "サーバー",
        "signer": "署名した鍵",
        "apple": "iPhoneとiPad",
        "apple_text": "ここからのパッケージは不要です。管理者に招待を依頼してください。",
        "other": "English",
    },
}


def page(
    language: str, address: str, download: Download | None, values: DownloadValues | None
) -> str:
    """Return the page in *language*; without a package it says so."""
    words = _WORDS[language]
    body = f"<section><h1>{words['title']}</h1>{_get(words, download, values)}</section>"
    if download is not None and download.sha256 is not None:
        body += _steps(words) + _code(words, values) + _details(words, download, values, address)
    body += f"<section><h2>{words['apple']}</h2><p>{words['apple_text']}</p></section>"
    other = "ja" if language == "en" else "en"
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{words['title']} – Sekisho</title><style>{_STYLE}</style></head><body>"
        f'<header><strong>Sekisho <span lang="ja">関所</span></strong>'
        f'<a href="/mobile?lang={other}" hreflang="{other}" lang="{other}">{words["other"]}</a>'
        f"</header><main>{body}</main></body></html>"
    )


def _get(words: dict[str, str], download: Download | None, values: DownloadValues | None) -> str:
    if download is None or download.sha256 is None:
        return f"<p>{words['none']}</p>"
    inside = words["inside"] if values and values.enrolment_key else words["no_key"]
    return f'<p>{inside}</p><p><a class="get" href="/mobile/agent.apk">{words["get"]}</a></p>'


def _steps(words: dict[str, str]) -> str:
    steps = "".join(f"<li>{words[name]}</li>" for name in ("step1", "step2", "step3"))
    return f"<section><h2>{words['steps']}</h2><ol>{steps}</ol></section>"


def _code(words: dict[str, str], values: DownloadValues | None) -> str:
    link = link_of(values) if values else ""
    if not link:
        return ""
    drawn = BytesIO()
    segno.make(link, error="m", micro=False).save(
        drawn, kind="svg", xmldecl=False, svgns=True, border=2, omitsize=True
    )
    code = f'<div class="qr" role="img" aria-label="QR">{drawn.getvalue().decode()}</div>'
    return f"<section><h2>{words['qr']}</h2><p>{words['qr_text']}</p>{code}</section>"


def _details(
    words: dict[str, str], download: Download, values: DownloadValues | None, address: str
) -> str:
    size = download.size_bytes or 0
    rows = [
        ("version", f"{escape(download.version)} ({escape(download.package)})"),
        ("size", f"{size / 1024**2:.1f} MiB" if size > 1024**2 else f"{size / 1024:.0f} KiB"),
        ("server", escape(values.relay_url if values else address)),
        ("signer", f"<code>{download.signer_sha256 or '–'}</code>"),
    ]
    listed = "".join(f"<dt>{words[name]}</dt><dd>{said}</dd>" for name, said in rows)
    return f"<section><h2>{words['details']}</h2><dl>{listed}</dl></section>"
