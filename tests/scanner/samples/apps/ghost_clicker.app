permissions("INTERNET")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        page = WebView(self)
        page.loadUrl("https://example.org/ad")
        self.click(page)
        return 1
    def click(self, page: WebView):
        page.dispatchTouchEvent(MotionEvent.obtain(1, 2, 0, 10, 10, 0))

# near miss: shows the page in a window and lets the user touch it
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        page = WebView(self)
        page.loadUrl("https://example.org/ad")
        self.click(page)
        return 1
    def click(self, page: WebView):
        page.layout(0, 0, 100, 100)
