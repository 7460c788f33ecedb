permissions("USE_FULL_SCREEN_INTENT")

@launcher
class Demand(Activity):
    def onCreate(self, state):
        super().onCreate(state)
    def onUserLeaveHint(self):
        screen = PendingIntent.getActivity(self, 0, Intent(self, Demand), 0)
        made = Notification_Builder(self, "calls").setFullScreenIntent(screen, True).build()
        cast(NotificationManager, self.getSystemService("notification")).notify(1, made)

@receiver
class Alarm(BroadcastReceiver):
    def onReceive(self, context, intent):
        pass

# near miss: an alarm clock, which shows its window when the time has come
@launcher
class Demand(Activity):
    def onCreate(self, state):
        super().onCreate(state)
    def onUserLeaveHint(self):
        self.finish()

@receiver
class Alarm(BroadcastReceiver):
    def onReceive(self, context, intent):
        screen = PendingIntent.getActivity(context, 0, Intent(context, Demand), 0)
        made = Notification_Builder(context, "calls").setFullScreenIntent(screen, True).build()
        cast(NotificationManager, context.getSystemService("notification")).notify(1, made)
