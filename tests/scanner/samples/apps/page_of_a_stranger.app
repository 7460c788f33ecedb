permissions("INTERNET")

@activity(actions=["android.intent.action.VIEW"], categories=["android.intent.category.BROWSABLE"], schemes=["sample"])
class Door(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        page = WebView(self)
        page.addJavascriptInterface(Bridge(), "app")
        self.show(page, self.getIntent().getDataString())
    def show(self, page: WebView, address: String):
        page.loadUrl(address)

class Bridge:
    def token(self) -> String:
        return "https://example.org/"

# near miss: opens its own page, whatever was asked for
@activity(actions=["android.intent.action.VIEW"], categories=["android.intent.category.BROWSABLE"], schemes=["sample"])
class Door(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        page = WebView(self)
        page.addJavascriptInterface(Bridge(), "app")
        self.show(page, self.getIntent().getDataString())
    def show(self, page: WebView, address: String):
        page.loadUrl("https://example.org/")
