"""The bundled tasks: classes made of several concepts, and their styles.

Concepts are named by the slug of their label, or all at once as "@" and their
Unicode subgroup. See sources.py for the styles.
"""

# Every style of the bundled tasks is new to the encoder.
UNSEEN = ["emojione", "fxemoji", "streamline", "fluenthc"]

# Every coloured style, those that the encoder was shown included.
COLOURED = ["noto", "twemoji", "notov1", "fluentflat", "fluent3d", "emojione",
            "fxemoji", "streamline"]


def _words(text):
    return text.split()


TASKS = {
    "novel": {
        "about": "Concepts that the encoder was shown in no style: neither "
                 "these drawings nor their captions.",
        "styles": COLOURED,
        "classes": {"dog": ["dog-face"], **{
            name: [name.replace(" ", "-")] for name in (
                "cat", "octopus", "ghost", "ram", "tulip", "fallen leaf",
                "peach", "poultry leg", "minibus", "police car", "sailboat",
                "rocket", "tornado", "umbrella", "rugby football", "jeans",
                "purse", "flashlight", "scissors")}},
    },
    "food": {
        "about": "Kinds of food and drink.",
        "styles": UNSEEN,
        "classes": {
            "fruit": _words("tangerine lemon banana pineapple peach pear "
                            "red-apple green-apple kiwi-fruit"),
            "berry": _words("grapes cherries strawberry"),
            "melon": _words("melon watermelon"),
            "vegetable": _words("tomato eggplant ear-of-corn carrot potato "
                                "cucumber hot-pepper avocado"),
            "bread": _words("bread croissant baguette-bread pancakes"),
            "fast food": _words("hamburger french-fries pizza hot-dog taco "
                                "burrito"),
            "meat": _words("meat-on-bone poultry-leg bacon"),
            "rice": _words("rice-ball cooked-rice curry-rice rice-cracker "
                           "sheaf-of-rice bento-box"),
            "seafood": _words("sushi fried-shrimp fish-cake-with-swirl "
                              "crab shrimp"),
            "ice cream": _words("soft-ice-cream shaved-ice ice-cream"),
            "cake": _words("birthday-cake shortcake custard"),
            "candy": _words("candy lollipop chocolate-bar honey-pot"),
            "hot drink": _words("hot-beverage teacup-without-handle"),
            "beer": _words("beer-mug clinking-beer-mugs"),
            "cocktail": _words("wine-glass cocktail-glass tropical-drink "
                               "clinking-glasses"),
        },
    },
    "travel": {
        "about": "Vehicles, buildings and the sky above them.",
        "styles": UNSEEN,
        "classes": {
            "car": _words("automobile oncoming-automobile taxi oncoming-taxi "
                          "sport-utility-vehicle racing-car"),
            "emergency vehicle": _words("police-car oncoming-police-car "
                                        "ambulance fire-engine"),
            "bus": _words("bus oncoming-bus trolleybus minibus"),
            "truck": _words("delivery-truck articulated-lorry tractor"),
            "train": _words("locomotive high-speed-train bullet-train train "
                            "metro light-rail railway-car"),
            "tram": _words("tram tram-car monorail mountain-railway station"),
            "cable car": _words("suspension-railway mountain-cableway "
                                "aerial-tramway"),
            "boat": _words("sailboat canoe speedboat motor-boat ship "
                           "passenger-ship ferry"),
            "airplane": _words("airplane small-airplane airplane-departure "
                               "airplane-arrival"),
            "bike": _words("motorcycle motor-scooter bicycle kick-scooter"),
            "house": _words("house house-with-garden derelict-house houses"),
            "office building": _words("office-building hospital bank hotel "
                                      "convenience-store school "
                                      "department-store love-hotel"),
            "castle": _words("castle japanese-castle classical-building "
                             "church mosque"),
            "moon": _words("full-moon crescent-moon new-moon-face "
                           "first-quarter-moon-face waxing-crescent-moon "
                           "full-moon-face waxing-gibbous-moon"),
            "cloud": _words("cloud sun-behind-cloud cloud-with-rain "
                            "sun-behind-large-cloud cloud-with-lightning "
                            "cloud-with-snow sun-behind-rain-cloud"),
            "mountain": _words("snow-capped-mountain mountain volcano "
                               "mount-fuji sunrise-over-mountains "
                               "national-park"),
        },
    },
    "things": {
        "about": "Things in a house: classes are what the thing is for.",
        "styles": UNSEEN,
        "classes": {
            "book": _words("closed-book open-book green-book blue-book "
                           "orange-book books notebook ledger"),
            "letter": _words("envelope e-mail incoming-envelope love-letter "
                             "envelope-with-arrow"),
            "clock": _words("watch alarm-clock stopwatch mantelpiece-clock "
                            "twelve-oclock three-oclock timer-clock"),
            "ball": _words("soccer-ball baseball basketball volleyball "
                           "american-football rugby-football tennis"),
            "musical instrument": _words("saxophone trumpet guitar violin "
                                         "musical-keyboard drum"),
            "camera": _words("camera camera-with-flash movie-camera "
                             "video-camera film-projector"),
            "computer": _words("laptop desktop-computer printer "
                               "computer-mouse trackball"),
            "telephone": _words("telephone telephone-receiver mobile-phone "
                                "fax-machine pager"),
            "shoe": _words("mans-shoe running-shoe high-heeled-shoe "
                           "womans-sandal womans-boot"),
            "hat": _words("womans-hat top-hat graduation-cap crown "
                          "rescue-workers-helmet"),
            "bag": _words("handbag purse clutch-bag backpack briefcase "
                          "shopping-bags"),
            "key": _words("key old-key locked-with-key locked unlocked"),
            "pen": _words("pencil black-nib fountain-pen pen paintbrush "
                          "crayon"),
            "tool": _words("hammer wrench pick hammer-and-wrench "
                           "nut-and-bolt axe"),
            "money": _words("money-bag dollar-banknote yen-banknote "
                            "euro-banknote pound-banknote credit-card "
                            "money-with-wings"),
            "heart": _words("red-heart heart-with-arrow sparkling-heart "
                            "growing-heart two-hearts broken-heart "
                            "revolving-hearts beating-heart green-heart "
                            "blue-heart"),
        },
    },
}
