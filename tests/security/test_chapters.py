"""Every chapter of OWASP ASVS 5 has a file of attacks here, or a reason why it has none."""

import re
from pathlib import Path

HERE = Path(__file__).parent
CHAPTERS = 17
WITHOUT = {
    10: "V10, OAuth and OIDC: nobody signs in by it and nothing here issues tokens of it. The "
    "connector asks Exchange Online with a certificate of its own (client credentials); "
    "`exchange_connector/test_online`.",
    17: "V17, WebRTC: nothing here speaks it.",
}


def test_all_chapters_are_attacked_or_say_why_not() -> None:
    attacked = {
        int(found[1])
        for file in HERE.glob("test_v*.py")
        if (found := re.match(r"test_v(\d\d)_", file.name))
    }
    assert attacked | set(WITHOUT) == set(range(1, CHAPTERS + 1))
    assert attacked & set(WITHOUT) == set()


def test_each_file_begins_with_its_table_and_names_tests_that_exist() -> None:
    known = {path.stem for path in HERE.parent.rglob("test_*.py")}
    for file in HERE.glob("test_v*.py"):
        said = file.read_text("utf-8").split('"""')[1]
        assert f"V{int(file.name[6:8])}" in said, file.name
        assert "| attack | also shown by |" in said, file.name
        for name in re.findall(r"(?<=[`/])test_\w+(?=`)", said):
            assert any(one.startswith(name) for one in known), (file.name, name)


def test_the_threat_model_says_why_chapters_have_none() -> None:
    text = (HERE.parents[1] / "docs" / "threat-model.md").read_text("utf-8")
    for chapter in WITHOUT:
        assert f"V{chapter} " in text
