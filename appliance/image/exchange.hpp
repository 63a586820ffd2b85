// Two folders take the places of two others, both or neither, even if the power goes in between.
#pragma once

#include <string>

#include "appliance/image/files.hpp"

namespace appliance {

struct Exchange {  // of one file system; all folders but `waiting` ones are there
    fs::path in_force;
    fs::path waiting;
};

class Exchanges {
public:
    // mark: a file that says what was begun.
    Exchanges(Exchange first, Exchange second, fs::path mark);

    // Empty, or an error's text: then nothing has changed.
    [[nodiscard]] std::string run() const;
    // At a start, before anything looks at the folders: true if one was begun and is at its end
    // now.
    [[nodiscard]] bool finish() const;

private:
    void forget() const;

    Exchange first_;
    Exchange second_;
    fs::path mark_;
};

}  // namespace appliance
