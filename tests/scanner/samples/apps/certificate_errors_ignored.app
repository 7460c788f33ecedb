permissions("INTERNET")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        page = WebView(self)
        page.setWebViewClient(Pages())
        page.loadUrl("https://example.org/")

class Pages(WebViewClient):
    def onReceivedSslError(self, page, handler, error):
        handler.proceed()

# near miss: stops, as the system does by default
class Pages(WebViewClient):
    def onReceivedSslError(self, page, handler, error):
        handler.cancel()
