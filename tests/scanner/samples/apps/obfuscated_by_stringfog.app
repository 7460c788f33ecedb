app(package="com.github.megatronking.stringfog")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        Toast.makeText(self, "hello", 1).show()

# near miss: another app, which names the plug-in among the licences that it shows
app(package="org.example.licences")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        Toast.makeText(self, "com/github/megatronking/stringfog", 1).show()
