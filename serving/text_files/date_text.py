"""How dates and times are written in text, in six languages."""

_CLOCK = r"([T ]\s?\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?([AaPp]\.?[Mm]\.?)?\s?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)?)?"
#: The names of months as patterns in six languages, by their number less one.
MONTHS = (
    "jan(uary|uar|vier|v|eiro)?|j(ä|ae)n(ner)?|ene(ro)?|gen(naio)?",
    "feb(ruary|ruar|rero|braio)?|fev(ereiro)?|fév(r|rier)?",
    "mar(ch|s|zo|ço)?|märz?|mrz",
    "apr(il|ile)?|av(r|ril)|abr(il)?",
    "mayo?|maio?|mag(gio)?",
    "jun(e|i|io|ho)?|juin|giu(gno)?",
    "jul(y|i|io|ho)?|juil(let)?|lug(lio)?",
    "aug(ust)?|ao[uû]t|ago(sto)?",
    "sept?|sept(ember|embre|iembre)|sep(tember|tembre|tiembre)|set(embro|tembre)?",
    "oct(ober|obre|ubre)?|okt(ober)?|out(ubro)?|ott(obre)?",
    "nov(ember|embre|iembre|embro)?",
    "dec(ember)?|dez(ember|embro)?|déc(embre)?|dic(iembre|embre)?",
)
MONTH = rf"((?i:{'|'.join(MONTHS)})\.?)"
_WEEKDAY = r"((?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? )?"
_YEAR = r"(1[89]|2[01])\d\d"
_OF_MONTH = r"(0[1-9]|1[0-2])"
_OF_DAY = r"(0[1-9]|[12]\d|3[01])"
# Each but the last few stands for the whole date; a time of day may follow.
_DATE = "|".join(
    (
        r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}",  # 2020-12-31
        r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}",  # 31.12.2020
        r"\d{1,2}([-/.])\d{1,2}([-/.])\d{2}",  # 31.12.20, 12/31/20
        rf"{_WEEKDAY}\d{{1,2}}\.?[ -]{MONTH}[ -]\d{{2,4}}",  # 31 Dec 2020, Thu, 31 Dec 2020
        rf"{_WEEKDAY}{MONTH} \d{{1,2}},? \d{{4}}",  # December 31, 2020
        r"\d{4}年\d{1,2}月\d{1,2}日",
        rf"{_YEAR}{_OF_MONTH}{_OF_DAY}",  # 20201231T235959 has its time behind it, as text
    )
)
_COMPACT_CLOCK = r"(T?\d{4}(\d{2}([.]\d+)?)?Z?)?"
_PART_OF_YEAR = "|".join(
    (
        rf"{_YEAR}[-/.]{_OF_MONTH}|{_OF_MONTH}[-/]{_YEAR}",  # 2020-12, 12/2020
        rf"{_YEAR}[- /]?[Qq][1-4]|[Qq][1-4][- /]?{_YEAR}",  # 2020-Q4, Q4 2020
        rf"{_YEAR}-?[Ww](0[1-9]|[1-4]\d|5[0-3])(-?[1-7])?",  # 2020-W53, 2020-W53-4
        rf"{MONTH}[- /']{{1,2}}(\d{{2}}|{_YEAR})",  # Dec-20, Dec 2020
        rf"\d{{1,2}}[- ]{MONTH}",  # 31-Dec, as Excel shows it
    )
)
_TIME_OF_DAY = r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?(\s?[AaPp]\.?[Mm]\.?)?"
#: A moment in text, as a regular expression of RE2: a date, a part of a year, or a time of day.
PATTERN = rf"^(({_DATE}){_CLOCK}|{_YEAR}{_OF_MONTH}{_OF_DAY}{_COMPACT_CLOCK}|{_PART_OF_YEAR}|{_TIME_OF_DAY})$"
