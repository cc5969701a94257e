/*
 * Bouncy Castle as a judge. Jobs come on standard input, one a line; each is answered with "ok" or "no REASON":
 *
 *     encrypt CIPHER WAY CERT IN OUT      CIPHER: cbc128 cbc256 gcm128 gcm256 gcm256+attributes
 *                                         WAY: v15 oaep1 oaep256 oaep512 java ecdh1 ecdh256 ecdh384, and ecdh256spelled, whose curve is spelled out
 *     decrypt KEY IN OUT                  KEY: PKCS#8, DER. IN and OUT: DER and the content
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;

import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.KeyAgreeRecipientInformation;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.SimpleAttributeTableGenerator;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;

public class Envelope {
    static RecipientInfoGenerator oaep(X509Certificate cert, String hash, MGF1ParameterSpec mask) throws Exception {
        return new JceKeyTransRecipientInfoGenerator(cert, new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(
            PKCSObjectIdentifiers.id_RSAES_OAEP, new OAEPParameterSpec(hash, "MGF1", mask, PSource.PSpecified.DEFAULT))).setProvider("BC");
    }

    static RecipientInfoGenerator agreement(X509Certificate cert, ASN1ObjectIdentifier scheme, boolean named) throws Exception {
        KeyPairGenerator maker = KeyPairGenerator.getInstance("EC", "BC");
        ECParameterSpec curve = ((ECPublicKey) cert.getPublicKey()).getParams();
        if (named)
            maker.initialize(new ECGenParameterSpec(curve.getOrder().bitLength() == 256 ? "secp256r1" : "secp384r1"));
        else
            maker.initialize(curve);
        KeyPair ephemeral = maker.generateKeyPair();
        return new JceKeyAgreeRecipientInfoGenerator(scheme, ephemeral.getPrivate(), ephemeral.getPublic(), CMSAlgorithm.AES256_WRAP)
            .addRecipient(cert).setProvider("BC");
    }

    static RecipientInfoGenerator way(String way, X509Certificate cert) throws Exception {
        switch (way) {
        case "v15": return new JceKeyTransRecipientInfoGenerator(cert).setProvider("BC");
        case "oaep1": return oaep(cert, "SHA-1", MGF1ParameterSpec.SHA1);
        case "oaep256": return oaep(cert, "SHA-256", MGF1ParameterSpec.SHA256);
        case "oaep512": return oaep(cert, "SHA-512", MGF1ParameterSpec.SHA512);
        case "java": return oaep(cert, "SHA-256", MGF1ParameterSpec.SHA1);
        case "ecdh1": return agreement(cert, CMSAlgorithm.ECDH_SHA1KDF, true);
        case "ecdh256": return agreement(cert, CMSAlgorithm.ECDH_SHA256KDF, true);
        case "ecdh384": return agreement(cert, CMSAlgorithm.ECDH_SHA384KDF, true);
        case "ecdh256spelled": return agreement(cert, CMSAlgorithm.ECDH_SHA256KDF, false);
        default: throw new Exception("no such way: " + way);
        }
    }

    static ASN1ObjectIdentifier cipher(String name) throws Exception {
        switch (name) {
        case "cbc128": return CMSAlgorithm.AES128_CBC;
        case "cbc256": return CMSAlgorithm.AES256_CBC;
        case "gcm128": return CMSAlgorithm.AES128_GCM;
        case "gcm256": case "gcm256+attributes": return CMSAlgorithm.AES256_GCM;
        default: throw new Exception("no such cipher: " + name);
        }
    }

    static byte[] encrypt(String name, String way, X509Certificate cert, byte[] content) throws Exception {
        CMSProcessableByteArray what = new CMSProcessableByteArray(content);
        OutputEncryptor encryptor = new JceCMSContentEncryptorBuilder(cipher(name)).setProvider("BC").build();
        if (name.startsWith("cbc")) {
            CMSEnvelopedDataGenerator maker = new CMSEnvelopedDataGenerator();
            maker.addRecipientInfoGenerator(way(way, cert));
            return maker.generate(what, encryptor).getEncoded();
        }
        CMSAuthEnvelopedDataGenerator maker = new CMSAuthEnvelopedDataGenerator();
        maker.addRecipientInfoGenerator(way(way, cert));
        if (name.endsWith("+attributes")) {
            ASN1EncodableVector some = new ASN1EncodableVector();
            some.add(new Attribute(CMSAttributes.contentType, new DERSet(PKCSObjectIdentifiers.data)));
            maker.setAuthenticatedAttributeGenerator(new SimpleAttributeTableGenerator(new AttributeTable(some)));
        }
        return maker.generate(what, (OutputAEADEncryptor) encryptor).getEncoded();
    }

    static PrivateKey key(byte[] der) throws Exception {
        for (String kind : new String[] { "RSA", "EC" }) {
            try {
                return KeyFactory.getInstance(kind, "BC").generatePrivate(new PKCS8EncodedKeySpec(der));
            } catch (Exception other) {
                continue;
            }
        }
        throw new Exception("a key that cannot be read");
    }

    static byte[] open(RecipientInformationStore infos, PrivateKey key, boolean authenticated) throws Exception {
        RecipientInformation info = infos.getRecipients().iterator().next();
        Recipient recipient;
        if (info instanceof KeyAgreeRecipientInformation)
            recipient = new JceKeyAgreeEnvelopedRecipient(key).setProvider("BC");
        else if (authenticated)
            recipient = new JceKeyTransAuthEnvelopedRecipient(key).setProvider("BC");
        else
            recipient = new JceKeyTransEnvelopedRecipient(key).setProvider("BC");
        return info.getContent(recipient);
    }

    static byte[] decrypt(PrivateKey key, byte[] der) throws Exception {
        if (ContentInfo.getInstance(der).getContentType().equals(CMSObjectIdentifiers.authEnvelopedData))
            return open(new CMSAuthEnvelopedData(der).getRecipientInfos(), key, true);
        return open(new CMSEnvelopedData(der).getRecipientInfos(), key, false);
    }

    static byte[] read(String name) throws Exception {
        return Files.readAllBytes(Paths.get(name));
    }

    static void job(String[] words) throws Exception {
        if (words[0].equals("encrypt")) {
            X509Certificate cert = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(Files.newInputStream(Paths.get(words[3])));
            Files.write(Paths.get(words[5]), encrypt(words[1], words[2], cert, read(words[4])));
        } else {
            Files.write(Paths.get(words[3]), decrypt(key(read(words[1])), read(words[2])));
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in));
        Security.addProvider(new BouncyCastleProvider());
        for (String line = jobs.readLine(); line != null; line = jobs.readLine()) {
            try {
                job(line.split(" "));
                System.out.println("ok");
            } catch (Exception failure) {
                System.out.println("no " + failure);
            }
        }
    }
}
