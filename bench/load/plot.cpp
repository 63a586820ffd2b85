// Throughput over time, latency over time, distribution of latency: one SVG, or a PNG of it.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "bench/load/png.hpp"
#include "bench/load/results.hpp"

namespace fedgate::load {

namespace {

constexpr double kWidth = 860, kHeight = 200, kLeft = 80, kTop = 40, kStep = 270;

struct Curve {
    const char* name;
    const char* colour;
    std::vector<std::pair<double, double>> points;
};

class Picture {
public:
    explicit Picture(std::FILE* file) : file_(file) {
        std::fprintf(file_,
                     "<svg xmlns='http://www.w3.org/2000/svg' width='980' height='860' "
                     "font-family='sans-serif' font-size='12'>\n"
                     "<rect width='100%%' height='100%%' fill='white'/>\n");
    }
    ~Picture() { std::fputs("</svg>\n", file_); }
    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;

    // `x_name`, `y_name`: what the axes count. `steps`: names of the places of x, if it has no
    // scale.
    void panel(const char* title, const char* x_name, const std::vector<Curve>& curves,
               const std::vector<const char*>& steps = {}) {
        const double top = kTop + kStep * panels_++;
        double x_max = 1e-9, y_max = 1e-9;
        for (const Curve& curve : curves) {
            for (const auto& [x, y] : curve.points) {
                x_max = std::max(x_max, x);
                y_max = std::max(y_max, y);
            }
        }
        y_max = nice(y_max);
        text(kLeft, top - 12, "start", title);
        for (int i = 0; i <= 4; ++i) {
            const double y = top + kHeight * (1 - i / 4.0);
            std::fprintf(file_, "<path d='M%.1f %.1fH%.1f' stroke='#ddd'/>\n", kLeft, y,
                         kLeft + kWidth);
            value(kLeft - 6, y + 4, "end", y_max * i / 4);
            if (steps.empty()) {
                value(kLeft + kWidth * i / 4, top + kHeight + 16, "middle", x_max * i / 4);
            }
        }
        for (std::size_t i = 0; i < steps.size(); ++i) {
            text(kLeft + kWidth * static_cast<double>(i) / x_max, top + kHeight + 16, "middle",
                 steps[i]);
        }
        text(kLeft + kWidth / 2, top + kHeight + 32, "middle", x_name);
        double legend = kLeft + kWidth;
        for (const Curve& curve : curves) {
            std::fprintf(file_, "<polyline fill='none' stroke='%s' stroke-width='1.5' points='",
                         curve.colour);
            for (const auto& [x, y] : curve.points) {
                std::fprintf(file_, "%.1f,%.1f ", kLeft + kWidth * x / x_max,
                             top + kHeight * (1 - y / y_max));
            }
            std::fputs("'/>\n", file_);
            std::fprintf(file_, "<text x='%.1f' y='%.1f' text-anchor='end' fill='%s'>%s</text>\n",
                         legend, top - 12, curve.colour, curve.name);
            legend -= 60;
        }
    }
    void text(double x, double y, const char* anchor, const char* words) {
        std::fprintf(file_, "<text x='%.1f' y='%.1f' text-anchor='%s'>%s</text>\n", x, y, anchor,
                     words);
    }

private:
    void value(double x, double y, const char* anchor, double number) {
        std::fprintf(file_, "<text x='%.1f' y='%.1f' text-anchor='%s'>%.4g</text>\n", x, y, anchor,
                     number);
    }
    // The next of 1, 2, 5 times a power of ten.
    static double nice(double number) {
        const double power = std::pow(10, std::floor(std::log10(number)));
        for (const double step : {1.0, 2.0, 5.0}) {
            if (number <= step * power) return step * power;
        }
        return 10 * power;
    }

    std::FILE* file_;
    int panels_ = 0;
};

void draw(std::FILE* file, const Results& results) {
    Picture picture(file);
    Curve rate{"", "#0060a0", {}}, middle{"p50", "#208040", {}}, high{"p99", "#c04020", {}};
    const Series& series = results.series;
    double at = 0;
    for (const Series::Slice& slice : series.slices()) {
        at += series.slice_seconds();
        rate.points.emplace_back(at, static_cast<double>(slice.count) / series.slice_seconds());
        if (slice.count == 0) continue;
        middle.points.emplace_back(at, slice.latency.at(0.5) / 1'000);
        high.points.emplace_back(at, slice.latency.at(0.99) / 1'000);
    }
    const std::string title =
        results.name + ", " + results.security + ": " + results.unit + " a second";
    picture.panel(title.c_str(), "seconds", {rate});
    picture.panel("latency, ms", "seconds", {high, middle});
    Curve spread{"", "#604090", {}};
    constexpr std::array<double, 7> kParts = {0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};
    for (std::size_t i = 0; i < kParts.size(); ++i) {
        spread.points.emplace_back(static_cast<double>(i), results.latency.at(kParts[i]) / 1'000);
    }
    picture.panel("distribution of latency, ms", "of all are faster", {spread},
                  {"50 %", "75 %", "90 %", "99 %", "99.9 %", "99.99 %", "all"});
}

bool fail(const std::string& path) {
    std::fprintf(stderr, "fedload: %s can't be written\n", path.c_str());
    return false;
}

}  // namespace

bool may_plot(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "a");
    return file != nullptr ? std::fclose(file) == 0 : fail(path);
}

bool plot(const std::string& path, const Results& results) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* memory = open_memstream(&text, &size);
    if (memory == nullptr) return fail(path);
    draw(memory, results);
    std::fclose(memory);
    const std::unique_ptr<char, decltype(&std::free)> owner(text, &std::free);
    if (path.ends_with(".png")) return write_png(path, {text, size}) || fail(path);
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return fail(path);
    const bool whole = std::fwrite(text, 1, size, file) == size;
    return (std::fclose(file) == 0 && whole) || fail(path);
}

}  // namespace fedgate::load
