permissions("KILL_BACKGROUND_PROCESSES", "RECEIVE_BOOT_COMPLETED")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startService(Intent(context, Work))

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        Clean().clean(self)
        return 1

class Clean:
    def clean(self, context: Context):
        apps = context.getPackageManager().getInstalledApplications(0)
        manager = cast(ActivityManager, context.getSystemService("activity"))
        app = cast(ApplicationInfo, apps.get(0))
        manager.killBackgroundProcesses(app.packageName)

class Press(View_OnClickListener):
    def onClick(self, view):
        Clean().clean(view.getContext())

# near miss: a cleaner that works when its button is pressed
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        View(self).setOnClickListener(Press())
        return 1
