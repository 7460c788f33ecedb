permissions("INTERNET")

@activity(actions=["android.intent.action.VIEW"], schemes=["sample"])
class Door(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        page = WebView(self)
        page.getSettings().setAllowUniversalAccessFromFileURLs(True)
        page.loadUrl(self.getIntent().getDataString())

# near miss: makes sure that the wall is up
@activity(actions=["android.intent.action.VIEW"], schemes=["sample"])
class Door(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        page = WebView(self)
        page.getSettings().setAllowUniversalAccessFromFileURLs(False)
        page.loadUrl(self.getIntent().getDataString())
