#include "appliance/admin/shell.hpp"

#include <gtest/gtest.h>

namespace fedgate::admin {
namespace {

using testing::IsSubstring;
using Kind = ShellValue::Kind;

std::string shown(const ShellValue& value) {
    switch (value.kind) {
        case Kind::kText: return "'" + value.text + "'";
        case Kind::kTrue: return "yes";
        case Kind::kFalse: return "no";
        case Kind::kNull: return "null";
        case Kind::kBlock: return "{" + value.text + "}";
        case Kind::kList: {
            std::string out = "[";
            for (const std::string& one : value.items) out += one + ",";
            return out + "]";
        }
        case Kind::kTable: {
            std::string out = "@";
            for (const auto& [name, items] : value.table) {
                out += name + "=";
                for (const std::string& one : items) out += one + ",";
                out += ";";
            }
            return out;
        }
    }
    return "";
}

// "2:Get-X -A 'b' | Set-Y" of each pipeline, with the line.
std::string read_line(std::string_view text) {
    std::vector<ShellPipeline> pipelines;
    std::string why;
    if (!parse_shell(text, pipelines, why)) return "! " + why;
    std::string out;
    for (const ShellPipeline& pipeline : pipelines) {
        out += (out.empty() ? "" : "\n") + std::to_string(pipeline.line) + ":";
        for (const ShellCommand& command : pipeline.commands) {
            if (&command != pipeline.commands.data()) out += " | ";
            out += command.name;
            for (const ShellWord& word : command.words) {
                out += word.is_parameter ? " -" + word.name : " ";
                if (word.has_value) out += ":";
                if (word.has_value || !word.is_parameter) out += shown(word.value);
            }
        }
    }
    return out;
}

TEST(Shell, ReadsTheReferencesLines) {
    EXPECT_EQ(read_line("New-CsExternalAccessPolicy -Identity FedPic -EnableFederationAcces $true "
                        "-EnablePublicCloudAccess $true"),
              "1:New-CsExternalAccessPolicy -Identity 'FedPic' -EnableFederationAcces yes "
              "-EnablePublicCloudAccess yes");
    EXPECT_EQ(read_line("Get-CsUser | Grant-CsExternalAccessPolicy -PolicyName FedPic"),
              "1:Get-CsUser | Grant-CsExternalAccessPolicy -PolicyName 'FedPic'");
    EXPECT_EQ(read_line("Stop-CsWindowsService\nStart-CsWindowsService\n"),
              "1:Stop-CsWindowsService\n2:Start-CsWindowsService");
    // With the dash that the document prints.
    EXPECT_EQ(read_line("Netstat \xe2\x80\x93"
                        "ano | findstr 5269"),
              "1:Netstat -ano | findstr '5269'");
    EXPECT_PRED_FORMAT2(
        IsSubstring, "'<name of the policy being used>' stands for a name",
        read_line("Set-CsExternalAccessPolicy -Identity <name of the policy being used> "
                  "EnableXmppAccess $true"));
}

TEST(Shell, ReadsValues) {
    EXPECT_EQ(read_line("A -Confirm:$false -X:$NULL 'it''s' \"a `\"b`\" \"\"c\"\"\" x`,y"),
              "1:A -Confirm:no -X:null 'it's' 'a \"b\" \"c\"' 'x,y'");
    EXPECT_EQ(read_line("A -D a.example, \"b.example\",c -E"),
              "1:A -D [a.example,b.example,c,] -E");
    EXPECT_EQ(read_line("A @{Add=\"a\",\"b\"; Remove='c'} @(\"x\",\"y\") @()"),
              "1:A @Add=a,b,;Remove=c,; [x,y,] []");
    EXPECT_EQ(read_line("A | Where-Object {$_.Type -eq \"}\" -and {x}} | B"),
              "1:A | Where-Object {$_.Type -eq \"}\" -and {x}} | B");
    EXPECT_EQ(
        read_line("A \xe2\x80\x9cKen Myer\xe2\x80\x9d - Filter \xe2\x80\x98*.org\xe2\x80\x99"),
        "1:A 'Ken Myer' -Filter '*.org'");
    EXPECT_EQ(read_line("A -5 a#b c:\\x.cer"), "1:A '-5' 'a#b' 'c:\\x.cer'");
}

TEST(Shell, ReadsLinesAndRemarks) {
    EXPECT_EQ(read_line("# first\n\nA 1; B 2 # rest\n<# long\nremark #> C `\n  -X y |\n D\r\n"),
              "3:A '1'\n3:B '2'\n5:C -X 'y' | D");
    EXPECT_EQ(read_line(" \n # nothing\n"), "");
}

TEST(Shell, SaysWhatIsWrong) {
    for (const auto& [text, why] :
         {std::pair<const char*, const char*>{"A 'x", "quotation mark ' is not closed"},
          {"A \"x", "quotation mark \" is not closed"},
          {"A {x", "a '{' is not closed"},
          {"A @{x", "in @{ } stands NAME=VALUE"},
          {"A @{x=1", "an '@{' is not closed"},
          {"A @(1", "an '@(' is not closed"},
          {"A |", "nothing behind the last '|'"},
          {"| A", "nothing in front of a '|'"},
          {"$x = Get-CsUser", "not kept in variables"},
          {"A $x", "no variables here but $true, $false and $null: '$x'"},
          {"A \"$x\"", "no variables here"},
          {"A (Get-CsUser)", "is not run first here"},
          {"A > file", "nothing is written"},
          {"A < file", "nothing is read"},
          {"A -X:", "a value is missing"},
          {"A a,", "a value is missing"},
          {"A }", "closes nothing"},
          {"A <# x", "is not closed by #>"},
          {"A\nB\nC 'x", "line 3: a quotation"}}) {
        EXPECT_PRED_FORMAT2(IsSubstring, why, read_line(text)) << text;
    }
    EXPECT_PRED_FORMAT2(IsSubstring, "1 MiB", read_line(std::string(kShellBytes + 1, 'x')));
    EXPECT_PRED_FORMAT2(IsSubstring, "UTF-8", read_line(std::string_view("A\0", 2)));
    std::string deep = "A ";
    for (int i = 0; i < 100'000; ++i) deep += "@(";
    EXPECT_PRED_FORMAT2(IsSubstring, "too much in each other", read_line(deep));
    EXPECT_PRED_FORMAT2(IsSubstring, "too much in each other",
                        read_line("A " + std::string(100'000, '{')));
}

// Whatever is typed or cut off ends the reading, not the program.
TEST(Shell, ReadsAnyBeginning) {
    const std::string text =
        "# x\nA -B:$true 'c''d' \"e`\"f\" @{G=\"h\",'i'; J=k} @(1,2) {l {m} 'n}'} -O p, q | "
        "\xe2\x80\x93R `\n s <# t #> ; U\n<v>";
    for (std::size_t start = 0; start < text.size(); ++start) {
        for (std::size_t size = 0; start + size <= text.size(); ++size) {
            std::vector<ShellPipeline> pipelines;
            std::string why;
            const bool good =
                parse_shell(std::string_view(text).substr(start, size), pipelines, why);
            EXPECT_EQ(good, why.empty());
        }
    }
}

}  // namespace
}  // namespace fedgate::admin
