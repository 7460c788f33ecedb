rule root_installer
{
    meta:
        title = "Installs a root shell into the system"
        severity = "high"
        category = "rooting"
        family = ""
        technique = "T1404"
        meaning = "Makes the system partition writable and installs a program there that gives root rights to whoever starts it."
        why = "Many honest apps look for su in order to refuse rooted devices; hardly one remounts the system and sets the set-user-ID bit. Both and the target must be in the same file."
    strings:
        $remount_1 = "mount -o remount,rw /system"
        $remount_2 = "mount -o rw,remount /system"
        $remount_3 = /mount -o remount,rw -t [a-z0-9]{2,8} [ -~]{1,80}\/system/
        $setuid_1 = "chmod 6755 "
        $setuid_2 = "chmod 06755 "
        $setuid_3 = "chmod 4755 "
        $setuid_4 = "chmod 04755 "
        $target_1 = "/system/bin/su"
        $target_2 = "/system/xbin/su"
        $target_3 = "/system/app/Superuser.apk"
    condition:
        (kind == "dex" or kind == "elf" or kind == "other")
        and any of ($remount_*) and any of ($setuid_*) and any of ($target_*)
}

rule safety_switch_off
{
    meta:
        title = "Turns Google Play Protect off by command"
        severity = "medium"
        category = "elevated-privilege-abuse"
        family = ""
        technique = "T1629.003"
        meaning = "Contains shell commands that switch off the check of installed apps, so that further apps enter unseen."
        why = "The setting is meant for developers at a cable. An app has no use for the command, unless it wants to install what the check would stop."
    strings:
        $put_1 = "settings put global package_verifier_enable 0"
        $put_2 = "settings put global verifier_verify_adb_installs 0"
        $put_3 = "settings put secure package_verifier_user_consent -1"
        $put_4 = "settings put global package_verifier_user_consent -1"
    condition:
        any of them
}
