// How a class name or words become text.
#pragma once

#include <string>

namespace promptd::learners {

// Underscores are spaces; nothing else (CoOp's PromptLearner and zero-shot
// templates). The tokenizer does the rest.
std::string ClassText(const std::string& name);

// A template's text for a class: its ClassText in the place of "{}".
std::string FillTemplate(const std::string& text, const std::string& name);

}  // namespace promptd::learners
