/*
 * Programs and scripts that an app carries. Their own texts tell what they do; there is no byte code
 * in them that behaviours/ could follow.
 */
rule kernel_exploit
{
    meta:
        title = "Program that attacks the system's kernel"
        severity = "high"
        confidence = "high"
        category = "rooting"
        technique = "T1404"
        meaning = "A program for the processor that looks up the functions with which the kernel gives root rights, to call them through a hole."
        why = "Nothing outside the kernel has a use for these functions. All of them together in a program are found in exploits."
    strings:
        $creds = "commit_creds"
        $prepare = "prepare_kernel_cred"
        $where_1 = "/proc/kallsyms"
        $where_2 = "selinux_enforcing"
        $where_3 = "addr_limit"
        $where_4 = "init_cred"
    condition:
        kind == "elf" and $creds and $prepare and any of ($where_*)
}

rule root_script
{
    meta:
        title = "Script that installs a root shell into the system"
        severity = "high"
        confidence = "high"
        category = "rooting"
        technique = "T1404"
        meaning = "A script or program that makes the system partition writable and puts a program there that gives root rights to whoever starts it."
        why = "Makers of systems do this when they build one, not in an app. Remount, set-user-ID bit and place must be in the same script or program."
    strings:
        $remount = /mount -o (remount,rw|rw,remount)[ -~]{0,80}\/system/
        $bit = /chmod 0?[46]755 /
        $place = /\/system\/(bin|xbin|sbin|app)\//
    condition:
        (kind == "elf" or (kind == "other" and uint16be(0) == 0x2321))
        and $remount and $bit and $place
}

rule crypto_miner
{
    meta:
        title = "Program that mines for somebody else"
        severity = "medium"
        confidence = "high"
        category = "riskware"
        meaning = "A program for the processor that speaks the protocol of mining pools. It uses up power, battery and device for its operator."
        why = "Wallets and shops for digital money do not speak to mining pools. Google allows no mining on the device."
        reference = "https://support.google.com/googleplay/android-developer/answer/9888077"
    strings:
        $word_1 = "mining.subscribe"
        $word_2 = "mining.authorize"
        $word_3 = "mining.submit"
        $word_4 = "mining.notify"
        $pool_1 = "stratum+tcp://"
        $pool_2 = "stratum+ssl://"
        $kind_1 = "randomx" nocase
        $kind_2 = "cryptonight" nocase
        $kind_3 = "argon2d" nocase
    condition:
        kind == "elf" and 2 of ($word_*) and (any of ($pool_*) or any of ($kind_*))
}
