/*
 * The test file of the European Institute for Computer Antivirus Research, 68 characters that are
 * harmless and that every scanner reports. Written as hexadecimal numbers, so that no scanner
 * reports this rule.
 */
rule eicar_test_file
{
    meta:
        title = "EICAR anti-virus test file"
        severity = "high"
        category = "test-file"
        family = "EICAR-Test-File"
        technique = ""
        meaning = "Harmless. The file carries the agreed text that proves a scanner is at work."
        why = "Nobody ships the 68 characters of the test file in an app by accident."
    strings:
        $text = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35
                  34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41
                  52 2D 53 54 41 4E 44 41 52 44 2D 41 4E 54 49 56
                  49 52 55 53 2D 54 45 53 54 2D 46 49 4C 45 21 24
                  48 2B 48 2A }
    condition:
        $text
}
