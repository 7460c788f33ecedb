app(minimum_sdk=9, target_sdk=16)
permissions("INTERNET")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        page = WebView(self)
        page.addJavascriptInterface(Shown(), "shown")
        page.loadUrl("https://example.org/")

class Shown:
    last: String

# near miss: gives the page no object
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        page = WebView(self)
        page.loadUrl("https://example.org/")
        Toast.makeText(self, "shown", 1).show()
        Shown()
