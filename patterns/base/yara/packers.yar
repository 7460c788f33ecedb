/*
 * Packers and protectors for Android apps, told by the names that they leave: native libraries,
 * entries, and the application class that runs first. Honest publishers buy them, too, so each is a
 * note; what an app whose code is hidden behind one may do is told by hidden_code. Whoever renames
 * these names is found by that rule alone.
 */

rule packed_with_jiagu
{
    meta:
        title = "Packed with Jiagu"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Jiagu"
        technique = "T1406.002"
        meaning = "The app was packed with Qihoo's Jiagu: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/stub/StubApp;"
        $class_2 = "Lcom/qihoo/util/StubApplication;"
        $class_3 = "Lcom/qihoo/util/StubApp;"
    condition:
        (kind == "elf" and entry matches /\/libjiagu(_art|_a64|_x64|_x86|_64|_so_64)?\.so$/)
        or (kind == "dex" and any of them)
}

rule packed_with_legu
{
    meta:
        title = "Packed with Legu"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Legu"
        technique = "T1406.002"
        meaning = "The app was packed with Tencent's Legu: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/tencent/StubShell/TxAppEntry;"
        $class_2 = "Lcom/wrapper/proxyapplication/WrapperProxyApplication;"
    condition:
        (kind == "elf" and entry matches /\/libshell(a|x)?-[0-9a-z.]+\.so$|\/libshell-super\.[0-9a-z.]*so$/)
        or (kind == "other" and (entry endswith "assets/tosversion" or entry endswith "assets/0OO00l111l1l" or entry endswith "assets/0OO00oo01l1l"))
        or (kind == "dex" and any of them)
}

rule packed_with_bangcle
{
    meta:
        title = "Packed with Bangcle"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Bangcle"
        technique = "T1406.002"
        meaning = "The app was packed with Bangcle, also sold as SecNeo: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/secneo/apkwrapper/"
        $class_2 = "Lcom/SecShell/SecShell/"
        $class_3 = "Lcom/bangcle/protect/"
    condition:
        (kind == "elf" and entry matches /\/lib(secexe|secmain|SecShell|SecShell-x86|DexHelper|DexHelper-x86|dexjni)\.so$/)
        or (kind == "other" and (entry endswith "bangcle_classes.jar" or entry endswith "bangcleclasses.jar" or entry endswith "assets/secData0.jar"))
        or (kind == "archive" and (entry endswith "bangcle_classes.jar" or entry endswith "bangcleclasses.jar" or entry endswith "assets/secData0.jar"))
        or (kind == "dex" and any of them)
}

rule packed_with_ijiami
{
    meta:
        title = "Packed with Ijiami"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Ijiami"
        technique = "T1406.002"
        meaning = "The app was packed with Ijiami: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/shell/SuperApplication;"
        $class_2 = "Ls/h/e/l/l/S;"
    condition:
        (kind == "elf" and entry matches /\/lib(execmain|ijcore|ijmDataEncryption)\.so$/)
        or (kind == "other" and (entry endswith "assets/ijiami.dat" or entry endswith "assets/ijiami.ajm" or entry endswith "assets/ijiami3.ajm" or entry endswith "assets/IJMDal.Data"))
        or (kind == "dex" and any of them)
}

rule packed_with_baidu
{
    meta:
        title = "Packed with Baidu protect"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Baidu protect"
        technique = "T1406.002"
        meaning = "The app was packed with Baidu's protector: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/baidu/protect/StubApplication;"
    condition:
        (kind == "elf" and entry matches /\/libbaiduprotect[0-9a-z_]*\.so$/)
        or (kind == "other" and (entry endswith "/baiduprotect.jar" or entry endswith "/baiduprotect1.jar"))
        or (kind == "archive" and (entry endswith "/baiduprotect.jar" or entry endswith "/baiduprotect1.jar"))
        or (kind == "dex" and any of them)
}

rule packed_with_ali
{
    meta:
        title = "Packed with Mobisec"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Mobisec"
        technique = "T1406.002"
        meaning = "The app was packed with Alibaba's protector: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/ali/mobisecenhance/StubApplication;"
        $class_2 = "Lcom/ali/mobisecenhance/ld/"
    condition:
        (kind == "elf" and entry matches /\/libmobisecy?\.so$/)
        or (kind == "other" and (entry endswith "/aliprotect.dat" or entry endswith "/libmobisecy1.zip"))
        or (kind == "archive" and (entry endswith "/aliprotect.dat" or entry endswith "/libmobisecy1.zip"))
        or (kind == "dex" and any of them)
}

rule packed_with_yidun
{
    meta:
        title = "Packed with Yidun"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Yidun"
        technique = "T1406.002"
        meaning = "The app was packed with NetEase's Yidun: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/netease/nis/wrapper/Entry;"
        $class_2 = "Lcom/netease/nis/wrapper/MyJni;"
        $class_3 = "Lcom/netease/nis/wrapper/MyApplication;"
    condition:
        (kind == "elf" and entry matches /\/libnesec\.so$/)
        or (kind == "dex" and any of them)
}

rule packed_with_naga
{
    meta:
        title = "Packed with Naga"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Naga"
        technique = "T1406.002"
        meaning = "The app was packed with Naga: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    condition:
        (kind == "elf" and entry matches /\/lib([defv]dog|chaosvmp)\.so$/)
}

rule packed_with_dexprotector
{
    meta:
        title = "Packed with DexProtector"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "DexProtector"
        technique = "T1406.002"
        meaning = "The app was packed with DexProtector: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    condition:
        (kind == "elf" and entry matches /\/libdexprotector[0-9a-z_.]*\.so$/)
        or (kind == "other" and (entry endswith "assets/classes.dex.dat" or entry endswith "assets/dp.arm.so.dat" or entry endswith "assets/dp.arm-v7.so.dat" or entry endswith "assets/dp.arm-v8.so.dat" or entry endswith "assets/dp.x86.so.dat" or entry endswith "assets/dp.x86_64.so.dat"))
}

rule packed_with_liapp
{
    meta:
        title = "Packed with LIAPP"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "LIAPP"
        technique = "T1406.002"
        meaning = "The app was packed with LIAPP: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    condition:
        (kind == "other" and (entry endswith "/LIAPPEgg" or entry endswith "/LIAPPClient.sc" or entry endswith "assets/LIAPP.ini"))
}

rule packed_with_appsealing
{
    meta:
        title = "Packed with AppSealing"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "AppSealing"
        technique = "T1406.002"
        meaning = "The app was packed with AppSealing: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    condition:
        (kind == "elf" and entry matches /\/libcovault(-appsec)?\.so$/)
        or (kind == "other" and (entry endswith "assets/appsealing.dex" or entry endswith "assets/sealed1.dex"))
        or (kind == "dex" and (entry endswith "assets/appsealing.dex" or entry endswith "assets/sealed1.dex"))
        or (kind == "archive" and (entry endswith "assets/appsealing.dex" or entry endswith "assets/sealed1.dex"))
}

rule packed_with_kiwisec
{
    meta:
        title = "Packed with KiwiSec"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "KiwiSec"
        technique = "T1406.002"
        meaning = "The app was packed with KiwiSec: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/kiwisec/KiwiSecApplication;"
        $class_2 = "Lcom/Kiwisec/KiwiSecApplication;"
        $class_3 = "Lcom/Kiwisec/ProxyApplication;"
    condition:
        (kind == "elf" and entry matches /\/libkiwicrash\.so$/)
        or (kind == "dex" and any of them)
}

rule packed_with_nqshield
{
    meta:
        title = "Packed with NQ Shield"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "NQ Shield"
        technique = "T1406.002"
        meaning = "The app was packed with NQ Shield: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    condition:
        (kind == "elf" and entry matches /\/libnqshield\.so$/)
        or (kind == "other" and (entry endswith "assets/nqshield"))
}

rule packed_with_dpt
{
    meta:
        title = "Packed with dpt-shell"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "dpt-shell"
        technique = "T1406.002"
        meaning = "The app was packed with dpt-shell: it decrypts its real code when it runs, and that code cannot be read here."
        why = "Publishers of games and banking apps pack against copies. Who spreads bad apps packs for the same price, so it must be known."
    strings:
        $class_1 = "Lcom/luoyesiqiu/shell/ProxyApplication;"
        $class_2 = "Lcom/luoyesiqiu/shell/JniBridge;"
    condition:
        (kind == "elf" and entry matches /\/libdpt(sec|shell)?\.so$/)
        or (kind == "other" and (entry endswith "assets/d_shell_data_001"))
        or (kind == "dex" and any of them)
}

rule packed_with_upx
{
    meta:
        title = "Native library packed with UPX"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "UPX"
        technique = "T1406.002"
        meaning = "A native library or program is compressed with UPX and unpacks itself when it is loaded, so its texts cannot be read here."
        why = "Android maps libraries as they are, and stores compress apps anyway: packing a library saves nothing, it hides."
    strings:
        $mark = "UPX!"
        $copyright = "$Info: This file is packed with the UPX"
    condition:
        kind == "elf" and ($copyright or $mark in (0..1024))
}

rule obfuscated_by_llvm
{
    meta:
        title = "Native code made unreadable by a compiler"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "Obfuscator-LLVM"
        technique = "T1406"
        meaning = "A native library was built with a compiler of the Obfuscator-LLVM family, which flattens branches and encrypts texts."
        why = "The makers' compiler of Android does not do this. It is bought or built in order that nobody reads the code."
    strings:
        $name_1 = "Obfuscator-LLVM clang version"
        $name_2 = "Obfuscator-clang version"
    condition:
        kind == "elf" and any of them
}

rule obfuscated_by_stringfog
{
    meta:
        title = "Texts of the code encrypted with StringFog"
        severity = "note"
        confidence = "high"
        category = "evasive-container"
        family = "StringFog"
        technique = "T1406"
        meaning = "Every text of the code is encrypted and decrypted by a class of the StringFog plug-in when it is needed."
        why = "Texts are encrypted so that nobody finds addresses and names of methods in them. Most honest apps have nothing to hide there."
    strings:
        $class = "Lcom/github/megatronking/stringfog/"
    condition:
        kind == "dex" and $class
}
