"""Which classes of Android descend from which: code may name a descendant and mean the ancestor."""

from functools import cache

_PARENT = {
    "Landroid/content/ContextWrapper;": "Landroid/content/Context;",
    "Landroid/app/Application;": "Landroid/content/ContextWrapper;",
    "Landroid/app/Service;": "Landroid/content/ContextWrapper;",
    "Landroid/view/ContextThemeWrapper;": "Landroid/content/ContextWrapper;",
    "Landroid/app/Activity;": "Landroid/view/ContextThemeWrapper;",
    "Landroid/app/ListActivity;": "Landroid/app/Activity;",
    "Landroid/app/NativeActivity;": "Landroid/app/Activity;",
    "Landroid/preference/PreferenceActivity;": "Landroid/app/ListActivity;",
    "Landroidx/core/app/ComponentActivity;": "Landroid/app/Activity;",
    "Landroidx/fragment/app/FragmentActivity;": "Landroidx/core/app/ComponentActivity;",
    "Landroidx/appcompat/app/AppCompatActivity;": "Landroidx/fragment/app/FragmentActivity;",
    "Landroid/app/IntentService;": "Landroid/app/Service;",
    "Landroid/app/job/JobService;": "Landroid/app/Service;",
    "Landroid/accessibilityservice/AccessibilityService;": "Landroid/app/Service;",
    "Landroid/inputmethodservice/AbstractInputMethodService;": "Landroid/app/Service;",
    "Landroid/inputmethodservice/InputMethodService;": (
        "Landroid/inputmethodservice/AbstractInputMethodService;"
    ),
    "Landroid/net/VpnService;": "Landroid/app/Service;",
    "Landroid/service/notification/NotificationListenerService;": "Landroid/app/Service;",
    "Landroid/service/wallpaper/WallpaperService;": "Landroid/app/Service;",
    "Landroid/service/dreams/DreamService;": "Landroid/app/Service;",
    "Landroid/telecom/InCallService;": "Landroid/app/Service;",
    "Landroid/telecom/CallScreeningService;": "Landroid/app/Service;",
    "Landroid/app/admin/DeviceAdminReceiver;": "Landroid/content/BroadcastReceiver;",
    "Landroid/appwidget/AppWidgetProvider;": "Landroid/content/BroadcastReceiver;",
    "Landroid/webkit/WebView;": "Landroid/view/View;",
    "Landroid/widget/EditText;": "Landroid/widget/TextView;",
    "Landroid/widget/TextView;": "Landroid/view/View;",
    "Landroid/widget/Button;": "Landroid/widget/TextView;",
    "Landroid/view/SurfaceView;": "Landroid/view/View;",
    "Landroid/view/ViewGroup;": "Landroid/view/View;",
    "Landroid/app/AlertDialog;": "Landroid/app/Dialog;",
    "Ljava/net/HttpURLConnection;": "Ljava/net/URLConnection;",
    "Ljavax/net/ssl/HttpsURLConnection;": "Ljava/net/HttpURLConnection;",
    "Ljavax/net/ssl/SSLSocket;": "Ljava/net/Socket;",
    "Ljava/io/FilterOutputStream;": "Ljava/io/OutputStream;",
    "Ljava/io/DataOutputStream;": "Ljava/io/FilterOutputStream;",
    "Ljava/io/BufferedOutputStream;": "Ljava/io/FilterOutputStream;",
    "Ljava/io/PrintStream;": "Ljava/io/FilterOutputStream;",
    "Ljavax/crypto/CipherOutputStream;": "Ljava/io/FilterOutputStream;",
    "Ljava/util/zip/DeflaterOutputStream;": "Ljava/io/FilterOutputStream;",
    "Ljava/util/zip/GZIPOutputStream;": "Ljava/util/zip/DeflaterOutputStream;",
    "Ljava/io/ObjectOutputStream;": "Ljava/io/OutputStream;",
    "Ljava/io/FileOutputStream;": "Ljava/io/OutputStream;",
    "Ljava/io/ByteArrayOutputStream;": "Ljava/io/OutputStream;",
    "Ljava/io/OutputStreamWriter;": "Ljava/io/Writer;",
    "Ljava/io/BufferedWriter;": "Ljava/io/Writer;",
    "Ljava/io/PrintWriter;": "Ljava/io/Writer;",
    "Ljava/io/StringWriter;": "Ljava/io/Writer;",
    "Ljava/io/FileWriter;": "Ljava/io/OutputStreamWriter;",
    "Ldalvik/system/DexClassLoader;": "Ldalvik/system/BaseDexClassLoader;",
    "Ldalvik/system/PathClassLoader;": "Ldalvik/system/BaseDexClassLoader;",
    "Ldalvik/system/InMemoryDexClassLoader;": "Ldalvik/system/BaseDexClassLoader;",
    "Ldalvik/system/BaseDexClassLoader;": "Ljava/lang/ClassLoader;",
}
ANCESTORS = frozenset(_PARENT.values()) | {
    "Landroid/accessibilityservice/AccessibilityService;",
    "Landroid/app/admin/DeviceAdminReceiver;",
    "Landroid/app/IntentService;",
    "Landroid/app/job/JobService;",
    "Landroid/inputmethodservice/InputMethodService;",
    "Landroid/net/VpnService;",
    "Landroid/os/AsyncTask;",
    "Landroid/os/Handler;",
    "Landroid/service/notification/NotificationListenerService;",
    "Landroid/webkit/WebView;",
    "Ljava/lang/Thread;",
}
"""Classes whose methods code may name through another class."""

PACKAGES = ("Landroid/", "Ljava/", "Ljavax/", "Ldalvik/")
"""Where Android's own classes are; an app may put its own there, too, as support libraries do."""
ANDROIDS = frozenset(
    one for one in (*_PARENT, *_PARENT.values(), *ANCESTORS) if one.startswith(PACKAGES)
)
"""Classes that Android has itself: what an app defines under such a name never runs."""


@cache
def is_a(descriptor: str, ancestor: str) -> bool:
    """Whether *descriptor* is *ancestor* or is known to descend from it."""
    while descriptor != ancestor:
        if descriptor not in _PARENT:
            return False
        descriptor = _PARENT[descriptor]
    return True
