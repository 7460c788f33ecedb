/*
 * Harmless to the phone that carries them, made for what it is plugged into or beside.
 */
rule windows_autorun_worm
{
    meta:
        title = "Starts a program on Windows computers"
        severity = "high"
        confidence = "high"
        category = "non-android-threat"
        technique = "T1458"
        meaning = "Carries the file that makes Windows start a program when the phone is plugged in as a drive."
        why = "Nothing on Android reads such a file. Phone makers put it on a drive of its own with drivers, never into an app."
    strings:
        $section = "[autorun]" nocase
        $start = /(open|shellexecute|shell\\[a-z]{1,20}\\command)\s{0,4}=\s{0,4}[^\r\n]{1,80}\.(exe|scr|vbs|js|bat|cmd|pif|lnk)/ nocase
    condition:
        kind == "other" and $section in (0..64) and $start
}

rule windows_script_loader
{
    meta:
        title = "Hidden loader for Windows computers"
        severity = "high"
        confidence = "high"
        category = "non-android-threat"
        technique = "T1458"
        meaning = "Carries a script that makes a Windows computer fetch and run a program without a window."
        why = "Help texts name single commands. To hide the window and to run what was fetched unseen serves only an attack."
    strings:
        $shell = "powershell" nocase
        $hidden = /-w(indowstyle)?\s{1,3}hidden/ nocase
        $fetch_1 = "DownloadString" nocase
        $fetch_2 = "DownloadFile" nocase
        $fetch_3 = "Invoke-WebRequest" nocase
        $fetch_4 = "FromBase64String" nocase
    condition:
        kind == "other" and #shell < 20 and $shell and $hidden and any of ($fetch_*)
        and ($shell in (0..200) or uint16(0) == 0x5A4D)
}

rule appliance_bot_loader
{
    meta:
        title = "Loader of bots for routers and cameras"
        severity = "high"
        confidence = "high"
        category = "non-android-threat"
        technique = "T1544"
        meaning = "Carries a script that fetches the same program for one kind of processor after the other and starts whichever runs, as bots for routers and cameras do."
        why = "Whoever installs something knows for which processor. To try them all blindly is done on devices that were broken into."
    strings:
        $fetch = /(wget|curl|tftp|ftpget)[ -~]{1,100}(mips|mipsel|mpsl|arm[4-7]?|sh4|ppc|sparc|m68k|x86)/
        $start = /chmod (777|\+x|0?755)/
        $mips = /(mips|mpsl)/
        $arm = /arm[4-7]?/
        $other = /(sh4|ppc|sparc|m68k)/
    condition:
        kind == "other" and uint16be(0) == 0x2321 and #fetch > 2 and $start and $mips and $arm and $other
}
