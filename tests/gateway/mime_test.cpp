#include "appliance/gateway/mime.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "appliance/gateway/html.hpp"

namespace fedgate::gateway {
namespace {

std::string clean(Charset charset, Bytes text) {
    std::vector<char> memory(8 * text.size() + 64);
    Sink sink{MutableBytes(memory)};
    write_clean(charset, text, sink);
    return std::string(sink.written());
}

std::string plain(Bytes html) {
    std::vector<char> memory(8 * html.size() + 64);
    Sink sink{MutableBytes(memory)};
    write_plain_of_html(html, sink);
    return std::string(sink.written());
}

// The text that a SIP body comes to, or what is wrong with it.
std::string read(Bytes type, Bytes body) {
    const BodyText found = find_text({type, {}, {}}, body);
    if (found.verdict == BodyVerdict::kUnsupported) return "415";
    if (found.verdict == BodyVerdict::kMalformed) return "400";
    std::vector<char> scratch(8 * body.size() + 64);
    std::vector<char> memory(8 * body.size() + 64);
    Sink sink{MutableBytes(memory)};
    if (!write_body_text(found, MutableBytes(scratch), sink)) return "broken";
    return std::string(sink.written());
}

TEST(Mime, TextBecomesCleanUtf8) {  // IM-24, IM-32
    EXPECT_EQ(clean(Charset::kUtf8, "a\r\nb\rc\nd\te"), "a\nb\nc\nd\te");
    EXPECT_EQ(clean(Charset::kUtf8, "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80"), "grüß 😀");
    EXPECT_EQ(clean(Charset::kUtf8, Bytes("a\0b\x0B\x1F", 5)), "a\uFFFDb\uFFFD\uFFFD");
    EXPECT_EQ(clean(Charset::kUtf8, "\xC3("), "\uFFFD(");
    EXPECT_EQ(clean(Charset::kUtf8, "\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
    EXPECT_EQ(clean(Charset::kUtf8, "\xC0\xAF"), "\uFFFD\uFFFD");            // overlong
    EXPECT_EQ(clean(Charset::kUtf8, "\xF0\x9F\x98"), "\uFFFD");              // cut
    EXPECT_EQ(clean(Charset::kUtf8, "\xEF\xBF\xBE"), "\uFFFD");              // U+FFFE
    EXPECT_EQ(clean(Charset::kLatin1, "caf\xE9"), "café");
    EXPECT_EQ(clean(Charset::kWindows1252, "\x80 \x93x\x94 \x81"), "€ “x” \uFFFD");
    EXPECT_EQ(clean(Charset::kUtf16, Bytes("\xFE\xFF\0a\xD8\x3D\xDE\x00", 8)), "a😀");
    EXPECT_EQ(clean(Charset::kUtf16, Bytes("\xFF\xFE"
                                           "a\0\r\0\n\0",
                                           8)),
              "a\n");
    EXPECT_EQ(clean(Charset::kUtf16, Bytes("\0a\xD8\x3D", 4)), "a\uFFFD");
}

TEST(Mime, EverySplitOfAnyBytesStaysValid) {
    std::string hostile;
    for (int i = 0; i < 1'024; ++i) hostile += static_cast<char>(i * 37 + i / 256);
    for (std::size_t cut = 0; cut <= hostile.size(); ++cut) {
        for (const Charset charset : {Charset::kUtf8, Charset::kUtf16, Charset::kWindows1252}) {
            const std::string once = clean(charset, Bytes(hostile).substr(0, cut));
            ASSERT_EQ(clean(Charset::kUtf8, once), once);
        }
        plain(Bytes(hostile).substr(cut));
    }
}

TEST(Mime, KnowsTheCharsetsOfTheRule) {  // IM-24
    for (const char* name :
         {"", "utf-8", "UTF-8", "us-ascii", "ISO-8859-1", "windows-1252", "utf-16"}) {
        EXPECT_TRUE(find_charset(name)) << name;
    }
    EXPECT_FALSE(find_charset("koi8-r"));
    EXPECT_EQ(read("text/plain;charset=koi8-r", "x"), "415");
    EXPECT_EQ(read("text/plain; charset=\"iso-8859-1\"", "\xE9"), "é");
}

TEST(Mime, HtmlHasAPlainRendition) {  // IM-39
    EXPECT_EQ(plain("<p>Hello <b>big</b>\n  world</p><p>second</p>"), "Hello big world\nsecond");
    EXPECT_EQ(plain("a<br>b<br/><br>c"), "a\nb\n\nc");
    EXPECT_EQ(plain("<ul><li>one</li><li>two</li></ul>"), "one\ntwo");
    EXPECT_EQ(plain("<script>alert('<p>')</script>x<style>p{}</style>y"), "xy");
    EXPECT_EQ(plain("&lt;tag&gt; &amp; &quot;q&quot; &#233; &#x1F600; &bogus; &"),
              "<tag> & \"q\" é 😀 &bogus; &");
    EXPECT_EQ(plain("&#0;&#xD800;&#1114112;"), "\uFFFD\uFFFD\uFFFD");
    EXPECT_EQ(plain("<!-- <b>no</b> -->yes"), "yes");
    EXPECT_EQ(plain("<a href='x>y'>link</a>"), "link");
    EXPECT_EQ(plain("1 < 2 and 3 > 2"), "1 < 2 and 3 > 2");
    EXPECT_EQ(plain("<p"), "");
    EXPECT_EQ(read("text/html", "<b>x</b>"), "x");
}

TEST(Mime, DecodesTransferEncodings) {  // SIP-5
    const auto encoded = [](Bytes encoding, Bytes body) {
        const BodyText found = find_text({"text/plain", encoding, {}}, body);
        if (found.verdict != BodyVerdict::kFound) return std::string("415");
        char scratch[256];
        char memory[256];
        Sink sink{MutableBytes(memory)};
        return write_body_text(found, MutableBytes(scratch), sink) ? std::string(sink.written())
                                                                   : "broken";
    };
    EXPECT_EQ(encoded("base64", "Z3LDvMOf\r\nZSE="), "grüße!");
    EXPECT_EQ(encoded("base64", "Z3L*"), "broken");
    EXPECT_EQ(encoded("base64", "Z==="), "broken");
    EXPECT_EQ(encoded("quoted-printable", "gr=C3=BC=\r\n=C3=9F"), "grüß");
    EXPECT_EQ(encoded("quoted-printable", "a=4"), "broken");
    EXPECT_EQ(encoded("8bit", "grüß"), "grüß");
    EXPECT_EQ(encoded("x-uuencode", "x"), "415");
}

constexpr char kAlternative[] =
    "--b\r\nContent-Type: text/html\r\n\r\n<b>hi</b>\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi "
    "there\r\n--b--\r\n";

TEST(Mime, PicksThePartOfAMultipart) {  // IM-40, IM-41
    EXPECT_EQ(read("multipart/alternative;boundary=b", kAlternative), "hi there");
    EXPECT_EQ(read("multipart/alternative; boundary=\"b\"",
                   "--b\r\nContent-Type: text/html\r\n\r\n<i>only</i>\r\n--b--"),
              "only");
    EXPECT_EQ(read("multipart/mixed;boundary=b",
                   "preamble\r\n--b\r\nContent-Type: "
                   "image/png\r\n\r\nPNG\r\n--b\r\n\r\nfirst\r\n--b\r\n\r\nsecond\r\n--b--"),
              "first");
    EXPECT_EQ(find_text({"multipart/mixed;boundary=b", {}, {}},
                        "--b\r\nContent-Type: "
                        "image/png\r\n\r\nPNG\r\n--b\r\n\r\nfirst\r\n--b\r\n\r\nsecond\r\n--b--")
                  .parts_dropped,
              2u);
    EXPECT_EQ(
        read("multipart/mixed;boundary=b", "--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n--b--"),
        "415");
    EXPECT_EQ(read("multipart/mixed", "--b\r\n\r\nx\r\n--b--"), "400");        // no boundary
    EXPECT_EQ(read("multipart/mixed;boundary=b", "--b\r\n\r\nx\r\n"), "400");  // never closed
    EXPECT_EQ(read("multipart/mixed;boundary=b",
                   "--b\r\nContent-Type: application/x\r\nContent-Disposition: "
                   "session;handling=required\r\n\r\nx\r\n"
                   "--b\r\n\r\ntext\r\n--b--"),
              "415");  // SIP-5
    EXPECT_EQ(read("multipart/mixed;boundary=a",
                   "--a\r\nContent-Type: "
                   "multipart/alternative;boundary=ab\r\n\r\n--ab\r\n\r\ninner\r\n--ab--\r\n--a--"),
              "inner");  // a boundary that begins with the outer one
}

TEST(Mime, BoundsPartsAndDepth) {  // SIP-5
    std::string many;
    for (int i = 0; i < 40; ++i) many += "--b\r\nContent-Type: image/png\r\n\r\nx\r\n";
    EXPECT_EQ(read("multipart/mixed;boundary=b", many + "--b--"), "415");
    std::string deep = "text";
    std::string type = "text/plain";
    for (int i = 0; i < 6; ++i) {
        const std::string boundary = "b" + std::to_string(i);
        deep = "--" + boundary + "\r\nContent-Type: " + type + "\r\n\r\n" + deep + "\r\n--" +
               boundary + "--";
        type = "multipart/mixed;boundary=" + boundary;
    }
    EXPECT_EQ(read(type, deep), "415");
}

TEST(Mime, UnwrapsCpim) {  // IM-42
    const char* body =
        "From: <im:a@x>\r\nTo: <im:b@y>\r\nDateTime: 2010-11-13T23:29:00Z\r\nSubject: "
        "inside\r\n\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\nwrapped";
    EXPECT_EQ(read("message/cpim", body), "wrapped");
    const BodyText found = find_text({"Message/CPIM", {}, {}}, body);
    EXPECT_EQ(found.cpim_subject, "inside");
    EXPECT_EQ(found.cpim_date, "2010-11-13T23:29:00Z");
    EXPECT_TRUE(found.message_id.empty());
}

TEST(Mime, ReadsWhatAReceiptIsAskedForWith) {  // IM-42, RCPT-4
    for (const std::string prefix : {"imdn", "x"}) {
        const std::string body =
            "From: Bob <im:bob@x>\r\nNS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\nNS: " +
            prefix + " <urn:ietf:params:imdn>\r\n" + prefix + ".Message-ID: 34jk324j\r\n" +
            "other.Message-ID: no\r\n" + prefix +
            ".Disposition-Notification: positive-delivery, negative-delivery\r\n\r\n"
            "Content-type: text/plain\r\n\r\nHello";
        EXPECT_EQ(read("message/cpim", body), "Hello");
        const BodyText found = find_text({"message/cpim", {}, {}}, body);
        EXPECT_EQ(found.message_id, "34jk324j");
        EXPECT_EQ(found.wanted, "positive-delivery, negative-delivery");
    }
}

TEST(Mime, TypingAndReceiptsStandAlone) {  // IM-43, IM-44
    const auto kind = [](Bytes type, Bytes body) {
        const BodyText found = find_text({type, {}, {}}, body);
        return found.verdict == BodyVerdict::kFound ? static_cast<int>(found.kind) : -1;
    };
    EXPECT_EQ(kind("application/im-isComposing+xml", "<x/>"), static_cast<int>(BodyKind::kTyping));
    EXPECT_EQ(kind("message/imdn+xml", "<x/>"), static_cast<int>(BodyKind::kReceipt));
    EXPECT_EQ(kind("message/cpim",
                   "From: <im:a@x>\r\n\r\nContent-type: message/imdn+xml\r\n"
                   "Content-Disposition: notification\r\n\r\n<imdn/>"),
              static_cast<int>(BodyKind::kReceipt));
    EXPECT_EQ(kind("multipart/mixed;boundary=b",
                   "--b\r\nContent-Type: message/imdn+xml\r\n\r\n<x/>\r\n--b--"),
              -1);
    EXPECT_EQ(kind("multipart/mixed;boundary=b",
                   "--b\r\nContent-Type: message/imdn+xml\r\n\r\n<x/>\r\n--b\r\n\r\nx\r\n--b--"),
              static_cast<int>(BodyKind::kText));
}

TEST(Mime, OtherTypesAreNotText) {  // IM-45, SEC-7
    for (const char* type : {"application/pkcs7-mime", "image/png", "text/rtf", "application/rtf",
                             "application/x-ms-ink", "application/xml"}) {
        EXPECT_EQ(read(type, "x"), "415") << type;
    }
    EXPECT_EQ(read("", "no type"), "no type");  // IM-32
    EXPECT_EQ(read("TEXT/Plain", "any case"), "any case");
}

}  // namespace
}  // namespace fedgate::gateway
