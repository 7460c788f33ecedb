file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0Portable SDK for UPnP devices/1.6.17\0")

# near miss: the version that mends it
file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0Portable SDK for UPnP devices/1.6.18\0")
