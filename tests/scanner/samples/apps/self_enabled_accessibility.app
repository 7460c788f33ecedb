permissions("WRITE_SECURE_SETTINGS")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        Grant().set(context, "enabled_accessibility_services")

class Grant:
    def set(self, context: Context, name: String):
        Settings_Secure.putString(context.getContentResolver(), name, context.getPackageName())

class Press(View_OnClickListener):
    def onClick(self, view):
        Grant().set(view.getContext(), "enabled_accessibility_services")

@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Events(AccessibilityService):
    def onAccessibilityEvent(self, event):
        pass
    def onInterrupt(self):
        pass

# near miss: writes the setting when its user presses the switch
@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        View(context).setOnClickListener(Press())
