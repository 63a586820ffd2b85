#include "appliance/gateway/date.hpp"

#include <gtest/gtest.h>

namespace fedgate::gateway {
namespace {

TEST(Date, ReadsAndWritesBothForms) {  // IM-12, IM-46
    const auto iso = parse_iso_date("2010-11-14T00:29:00.123+01:00");
    ASSERT_TRUE(iso);
    char memory[64];
    Sink sink{MutableBytes(memory)};
    write_sip_date(*iso, sink);
    EXPECT_EQ(sink.written(), "Sat, 13 Nov 2010 23:29:00 GMT");
    EXPECT_EQ(parse_sip_date(sink.written()), iso);
    for (const char* bad :
         {"", "0000-01-01T00:00:00+01:00", "2010-02-30T00:00:00Z", "2010-1-1T00:00:00Z",
          "2010-01-01T24:00:00Z", "2010-01-01T00:00:00", "2010-01-01T00:00:00+1:00"}) {
        EXPECT_FALSE(parse_iso_date(bad)) << bad;
    }
    for (const char* bad : {"", "Sat, 13 Nov 2010 23:29:00", "Sat, 13 Foo 2010 23:29:00 GMT",
                            "13 Nov 2010 23:29:00 GMT"}) {
        EXPECT_FALSE(parse_sip_date(bad)) << bad;
    }
}

}  // namespace
}  // namespace fedgate::gateway
