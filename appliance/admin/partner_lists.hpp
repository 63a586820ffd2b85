// Partners out of other products' files (features.md P12): what Get-CsXmppAllowedPartner prints, or
// writes by Export-Csv and ConvertTo-Json; the lists of Prosody and ejabberd; one domain a line.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fedgate::admin {

struct ListedPartner {
    std::string domain;
    std::vector<std::string> settings;  // `tls=optional`
    std::string where;                  // `line 7`, `entry 2`
};

constexpr std::size_t kListedPartners = 20'000;  // more are refused

struct PartnerList {
    std::vector<ListedPartner> partners;
    std::vector<std::string> notes;  // what was left out
};

// Which kind of file it is, is seen. False: `why` is a sentence with the line.
[[nodiscard]] bool parse_partner_list(std::string_view text, PartnerList&, std::string& why);

}  // namespace fedgate::admin
