import com.android.apksig.ApkVerifier;
import com.android.apksigner.ApkSignerTool;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.security.MessageDigest;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Android's own signing tool as one process: a command a line, words parted by tabs. */
public class Apksig {
    public static void main(String[] none) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = commands.readLine()) != null; ) {
            String[] words = line.split("\t", -1);
            String answer;
            try {
                answer = words[0].equals("verify") ? verify(words) : tool(words);
            } catch (Exception error) {
                answer = "bad\t\t\t" + error.getClass().getSimpleName() + ": " + error.getMessage();
            }
            answers.println(answer.replace('\n', ' '));
            answers.flush();
        }
    }

    private static String tool(String[] words) throws Exception {
        ApkSignerTool.main(words);
        return "ok\t\t\t";
    }

    private static String verify(String[] words) throws Exception {
        ApkVerifier.Result result = new ApkVerifier.Builder(new File(words[2]))
                .setMinCheckedPlatformVersion(Integer.parseInt(words[1])).build().verify();
        List<String> schemes = new ArrayList<>();
        if (result.isVerifiedUsingV1Scheme()) schemes.add("v1");
        if (result.isVerifiedUsingV2Scheme()) schemes.add("v2");
        if (result.isVerifiedUsingV3Scheme()) schemes.add("v3");
        List<String> signers = new ArrayList<>();
        for (X509Certificate certificate : result.getSignerCertificates()) {
            StringBuilder text = new StringBuilder();
            for (byte each : MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded())) {
                text.append(String.format("%02x", each));
            }
            signers.add(text.toString());
        }
        return (result.isVerified() ? "ok" : "bad") + "\t" + String.join(",", schemes) + "\t"
                + String.join(",", signers) + "\t" + result.getErrors();
    }
}
