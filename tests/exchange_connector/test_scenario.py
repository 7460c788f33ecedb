from tests.exchange_connector.bed import Bed


def test_root_cuts_mail_to_exactly_that_phone_and_mending_gives_it_back(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.add_phone("ada", "ADA2")
    bed.exchange.add_phone("bob", "ADA1")
    device = bed.enrol("ada@corp.test", "ADA1")
    bed.pair()

    bed.run_pass()
    assert bed.exchange.allowed() == {("ada", "ADA1")}

    bed.say(device, rooted=True)
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == {("ada", "ADA1")}
    assert bed.exchange.allowed() == set()

    bed.say(device, rooted=False)
    bed.run_pass(discover=False)
    assert bed.exchange.blocked() == set()
    assert bed.exchange.allowed() == {("ada", "ADA1")}
