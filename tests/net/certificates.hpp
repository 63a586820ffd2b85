// Certificates for tests, made by openssl(1) in a temporary directory: an authority, an
// intermediate one, a foreign one, and end entities with each fault that CERT-5 and CERT-6 name.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <unistd.h>

#include <gtest/gtest.h>

#include "net/tls.hpp"

namespace fedgate::net::test {

inline WallTime wall_now() {
    return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

class Certificates {
public:
    static const Certificates& get() {
        static const Certificates made;
        return made;
    }
    [[nodiscard]] std::string path(const std::string& file) const {
        return directory_ + "/" + file;
    }
    [[nodiscard]] std::string text(const std::string& file) const {
        std::ifstream in(path(file), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    [[nodiscard]] TlsCredential credential(const std::string& name) const {
        return {{path(name + ".pem"), {}}, {path(name + ".key"), {}}};
    }
    [[nodiscard]] std::unique_ptr<TlsContext> context(std::initializer_list<const char*> names,
                                                      const char* ca = "ca.pem",
                                                      bool tls13 = true) const {
        TlsConfig config;
        for (const char* name : names) config.credentials.push_back(credential(name));
        if (ca != nullptr) config.ca.path = path(ca);
        config.tls13 = tls13;
        std::string fault;
        auto context = TlsContext::load(config, &fault);
        EXPECT_TRUE(context) << fault;
        return std::move(*context);
    }

private:
    // ctest runs each test in a process of its own: the first one makes the files, the others find
    // them.
    Certificates() {
        namespace fs = std::filesystem;
        const std::string base = fs::temp_directory_path() / "fedgate-test-certificates-";
        directory_ = base + std::to_string(getuid()) + "-" +
                     std::to_string(std::hash<std::string_view>{}(kScript));
        std::error_code none;
        const auto made = fs::last_write_time(directory_ + "/ready", none);
        if (!none && fs::file_time_type::clock::now() - made < std::chrono::days(5)) return;
        fs::remove_all(directory_, none);
        std::string work = base + "XXXXXX";
        EXPECT_NE(mkdtemp(work.data()), nullptr);
        std::ofstream(work + "/make") << kScript << "touch ready\n";
        EXPECT_EQ(std::system(("cd " + work + " && sh ./make >log 2>&1").c_str()), 0);
        fs::rename(work, directory_, none);
        if (none) fs::remove_all(work, none);  // another process was faster
    }

    static constexpr char kScript[] = R"(set -e
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key; }
root() { openssl req -x509 -new -key $1.key -subj "/CN=$1" -days 3650 -out $1.pem \
    -addext basicConstraints=critical,CA:TRUE; }
# sign NAME ISSUER [OPTION...]: extensions come from NAME.ext
sign() { n=$1; i=$2; shift 2
    openssl req -new -key $n.key -subj "/CN=$n/O=Test" -out $n.csr
    openssl x509 -req -in $n.csr -CA $i.pem -CAkey $i.key -CAcreateserial -days 365 \
        -extfile $n.ext -out $n.pem "$@"; }
for n in ca other inter short good second chained weak_ca client anyusage authority critical; do
    key $n
done
for n in byleaf toolong sha1; do key $n; done
root ca; root other
echo "basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign" >inter.ext; sign inter ca
echo "basicConstraints=critical,CA:TRUE" >short.ext; sign short inter
cat >good.ext <<E
basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=@names
[names]
DNS.1=xmpp.example
DNS.2=*.wild.example
URI.1=sip:xmpp.example
otherName.1=1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.srv.example
otherName.2=1.3.6.1.5.5.7.8.5;UTF8:addr.example
otherName.3=1.2.3.4;UTF8:else
E
sign good ca
echo "subjectAltName=DNS:second.example,DNS:*.second.example" >second.ext; sign second ca
echo "subjectAltName=DNS:chained.example" >chained.ext; sign chained inter
cp chained.pem lonely.pem; cp chained.key lonely.key; cat inter.pem >>chained.pem
echo "subjectAltName=DNS:wrong.example" >weak_ca.ext; sign weak_ca other
echo "extendedKeyUsage=clientAuth" >client.ext; sign client ca
echo "extendedKeyUsage=anyExtendedKeyUsage" >anyusage.ext; sign anyusage ca
echo "basicConstraints=CA:TRUE" >authority.ext; sign authority ca
echo "1.2.3.4.5=critical,DER:0500" >critical.ext; sign critical ca
echo "subjectAltName=DNS:byleaf.example" >byleaf.ext; sign byleaf good; cat good.pem >>byleaf.pem
echo "subjectAltName=DNS:toolong.example" >toolong.ext; sign toolong short; cat short.pem inter.pem >>toolong.pem
echo "subjectAltName=DNS:sha1.example" >sha1.ext; sign sha1 ca -sha1
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa1024.key
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa2048.key
openssl genpkey -algorithm ED25519 -out ed25519.key
for n in rsa1024 rsa2048 ed25519; do echo "subjectAltName=DNS:$n.example" >$n.ext; sign $n ca; done
# What signs: another curve, and keys in the older formats.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key
echo "subjectAltName=DNS:p384.example" >p384.ext; sign p384 ca
cp p384.key upper.key; echo "subjectAltName=DNS:Upper.Example" >upper.ext; sign upper ca
openssl ec -in good.key -out good_ec.key; openssl rsa -traditional -in rsa2048.key -out rsa2048_rsa.key
# RSA-PSS: salt of the digest's size, of the largest that fits, and over SHA-1.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsaca.key; root rsaca
pss() { cp rsa2048.key $1.key; echo "subjectAltName=DNS:$1.example" >$1.ext; n=$1; shift
    sign $n rsaca -sigopt rsa_padding_mode:pss "$@"; }
pss pss -sha256 -sigopt rsa_pss_saltlen:-1
pss pss512 -sha512 -sigopt rsa_pss_saltlen:-3
pss psssha1 -sha1 -sigopt rsa_pss_saltlen:-1
# Name constraints.
for n in narrow; do key $n; done
echo "basicConstraints=critical,CA:TRUE
nameConstraints=critical,permitted;DNS:narrow.example,excluded;DNS:bad.narrow.example,excluded;IP:0.0.0.0/0.0.0.0" \
    >narrow.ext; sign narrow ca
below() { cp good.key $1.key; printf "subjectAltName=@n\n[n]\n$2\n" >$1.ext; sign $1 narrow
    cat narrow.pem >>$1.pem; }
below inside "DNS.1=a.narrow.example\nDNS.2=narrow.example\nURI.1=sip:narrow.example
otherName.1=1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.narrow.example
otherName.2=1.3.6.1.5.5.7.8.5;UTF8:b.narrow.example"
below outside "DNS.1=notnarrow.example"
below outside_srv "otherName.1=1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.other.example"
below outside_xmpp "otherName.1=1.3.6.1.5.5.7.8.5;UTF8:other.example"
below outside_uri "URI.1=sip:other.example"
below outside_parameter "URI.1=sip:other.example;x=.narrow.example"
below outside_query "URI.1=sip:other.example?x=a@narrow.example"
below excluded "DNS.1=x.bad.narrow.example"
below excluded_by_star "DNS.1=*.narrow.example"
below excluded_by_dot "DNS.1=*.narrow.example."
key odd; echo "basicConstraints=critical,CA:TRUE
nameConstraints=critical,permitted;dirName:d
[d]
O=Test" >odd.ext; sign odd ca
key belowodd; echo "subjectAltName=DNS:belowodd.example" >belowodd.ext; sign belowodd odd; cat odd.pem >>belowodd.pem
openssl req -x509 -new -key good.key -subj /CN=self -days 300 -out self.pem -addext subjectAltName=DNS:self.example
cp good.key self.key
key clientserver; echo "extendedKeyUsage=clientAuth,serverAuth" >clientserver.ext; sign clientserver ca
# Revocation: what ca says of good (nothing), second and inter (revoked).
key revokedchain; echo "subjectAltName=DNS:revokedchain.example" >revokedchain.ext; sign revokedchain inter; cat inter.pem >>revokedchain.pem
key point; printf "subjectAltName=DNS:point.example\ncrlDistributionPoints=URI:http://ca.example/1.crl\n" >point.ext; sign point ca
serial() { openssl x509 -in $1.pem -noout -serial | cut -d= -f2; }
line() { printf "R\t400101000000Z\t260131120000Z,$2\t$(serial $1)\tunknown\t/CN=$1\n"; }
valid() { printf "V\t400101000000Z\t\t$(serial $1)\tunknown\t/CN=$1\n"; }
openssl rand -hex 8 >number
# crl NAME ISSUER "DAYS" [EXTENSION]: a list of the index
crl() { printf "[ca]\ndefault_ca=c\n[c]\ndatabase=$1.index\ncrlnumber=number\ndefault_md=sha256\ncrl_extensions=e\n[e]\n$4\n[idp]\n$5\n" >$1.cnf
    openssl ca -gencrl -config $1.cnf -cert $2.pem -keyfile $2.key $3 -out $1.crl; }
for n in both stale forged delta indirect shard empty weakcrl users; do line second keyCompromise >$n.index; done
line inter superseded >>both.index; : >empty.index; echo "unique_subject=no" >both.index.attr
crl both ca "-crldays 3000"
crl stale ca "-crlsec 1"
crl empty ca "-crldays 3000"
crl forged other "-crldays 3000"
crl delta ca "-crldays 3000" "2.5.29.27=critical,DER:020101"
crl indirect ca "-crldays 3000" "issuingDistributionPoint=critical,@idp" "indirectCRL=TRUE"
crl shard ca "-crldays 3000" "issuingDistributionPoint=critical,@idp" "fullname=URI:http://ca.example/1.crl"
crl users ca "-crldays 3000" "issuingDistributionPoint=critical,@idp" "onlyuser=TRUE"
crl weakcrl ca "-crldays 3000 -md sha1"
: >inter.index; crl inter inter "-crldays 3000"
openssl crl -in both.crl -outform DER -out both.der.crl
# OCSP responses of ca, of a delegate of his, and of somebody else.
for n in responder nocheck shortly; do key $n; echo "extendedKeyUsage=OCSPSigning" >$n.ext; done
echo noCheck=ignored >>nocheck.ext; sign responder ca; sign nocheck ca; sign shortly ca
openssl x509 -req -in shortly.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 6 -extfile shortly.ext -out shortly.pem
{ valid good; line second keyCompromise; } >ocsp.index
staple() { openssl ocsp -issuer ca.pem $3 -cert $2.pem -no_nonce -reqout $1.req
    openssl ocsp -index ocsp.index -CA ca.pem -rsigner $4.pem -rkey $4.key -reqin $1.req -respout $1.ocsp $5; }
staple good good "" ca "-ndays 3000"
staple good256 good -sha256 ca "-ndays 3000 -resp_key_id"
staple second second "" ca "-ndays 3000"
staple unknown point "" ca "-ndays 3000"
staple delegated second "" responder "-ndays 3000"
for n in responder nocheck shortly; do staple by_$n good "" $n "-ndays 3000"; done
line responder keyCompromise >gone.index; crl gone ca "-crldays 3000"
staple other second "" good "-ndays 3000"
staple endless good "" ca ""
staple short good "" ca "-nmin 1"
# Successful, and then no response at all: a small one, and one above what we take and TLS lets pass.
hollow() { printf "asn1=SEQUENCE:r\n[r]\nstatus=ENUM:0\nbytes=EXP:0,SEQUENCE:b\n[b]\nkind=OID:1.3.6.1.5.5.7.48.1.1
value=FORMAT:HEX,OCT:$2\n" >$1.cnf; openssl asn1parse -noout -genconf $1.cnf -out $1.ocsp; }
hollow hollow 300380
hollow huge $(head -c 17000 /dev/zero | od -An -v -tx1 | tr -d " \n")
for n in *.pem; do openssl x509 -in $n -outform DER -out ${n%.pem}.der; done
)";
    std::string directory_;
};

}  // namespace fedgate::net::test
