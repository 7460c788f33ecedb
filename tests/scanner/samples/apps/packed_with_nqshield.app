file("lib/armeabi/libnqshield.so", b"\x7fELF\x02\x01\x01" + b"\0" * 40)

# near miss: a list of packers in an entry of that name, and no library
file("lib/armeabi/libnqshield.so", "NQ Shield: see the page about packers\n")
