"""How Memscope looks: the colours of the tiers as CSS, in light and dark, and the frame of the panes.

The browser chooses between the two (`light-dark()` follows the page's own `color-scheme`), so that a change
of theme needs no rerun. No text of an agent ever enters here.
"""

import streamlit as st

from memgpt_core.views.palette import HUES

_PATTERNS = {
    "plain": "none",
    "stripes": "repeating-linear-gradient(45deg, var(--ink) 0 2px, transparent 2px 7px)",
    "dots": "radial-gradient(var(--ink) 1.1px, transparent 1.5px)",
    "grid": (
        "repeating-linear-gradient(0deg, var(--ink) 0 1px, transparent 1px 6px),"
        "repeating-linear-gradient(90deg, var(--ink) 0 1px, transparent 1px 6px)"
    ),
    "lines": "repeating-linear-gradient(0deg, var(--ink) 0 1px, transparent 1px 5px)",
}


def apply() -> None:
    """Give the page its style; once on every page, before anything is drawn."""
    st.html(f"<style>{_tiers()}{_FRAME}{_PIECES}</style>")


def _tiers() -> str:
    rules = []
    for key, hue in HUES.items():
        size = "background-size:5px 5px;" if hue.pattern == "dots" else ""
        rules.append(
            f".ms-{key}{{--hue:light-dark({hue.light},{hue.dark});}}"
            f".ms-{key}.ms-fill{{background-color:var(--hue);background-image:{_PATTERNS[hue.pattern]};{size}}}"
        )
    return "".join(rules)


# Streamlit's own Running/Stop sign is hidden: it stops a drawing, and beside ours it would seem to stop a turn.
# The panes scroll by themselves; the conversation takes what the composer under it leaves of the height.
_FRAME = """
.stMainBlockContainer{padding:1.5rem 1.6rem .6rem;max-width:none}
.stAppHeader{height:1.9rem;min-height:1.9rem;background:transparent;pointer-events:none}
.stAppHeader button{pointer-events:auto}
[data-testid="stStatusWidget"]{display:none}
[data-testid="stSidebarHeader"]{padding-bottom:0;min-height:2.2rem;height:2.2rem}
[data-testid="stSidebarUserContent"]{padding:0 1.1rem 1rem}
[data-testid="stSidebarUserContent"] .stVerticalBlock{gap:.4rem}
.stColumn:has(.st-key-conversation)>.stVerticalBlock{height:calc(100vh - 2.4rem);gap:.5rem}
.stVerticalBlock>div:has(>.st-key-conversation){flex:1 1 0!important;height:auto!important;min-height:180px}
.stVerticalBlock>div:has(>.st-key-memory){flex:none!important;height:calc(100vh - 2.4rem)!important}
.st-key-conversation,.st-key-memory{height:100%!important;flex:1 1 auto!important;scrollbar-width:thin}
.st-key-memory{gap:.45rem;padding-right:.5rem}
.st-key-memory .stVerticalBlock{gap:.35rem}
.st-key-memory .stButton button,.st-key-memory .stPopover button{min-height:1.6rem;padding:0 .4rem}
.stChatMessage{padding:.7rem .8rem;gap:.6rem}
.stChatMessage .stVerticalBlock{gap:.35rem}
@media (max-width:820px){
 .stVerticalBlock>div:has(>.st-key-conversation),.stVerticalBlock>div:has(>.st-key-memory),
 .stColumn:has(.st-key-conversation)>.stVerticalBlock{height:auto!important}}
"""

_PIECES = """
:root{--ink:rgba(255,255,255,.34)}
.ms{font-size:.86rem;line-height:1.4;--soft:color-mix(in srgb,currentColor 62%,transparent);
 --edge:color-mix(in srgb,currentColor 17%,transparent);--wash:color-mix(in srgb,currentColor 5%,transparent)}
.ms *{box-sizing:border-box}
.ms .soft,.ms.soft{color:var(--soft)}
.ms .num{font-variant-numeric:tabular-nums;white-space:nowrap}
.ms-h{display:flex;justify-content:space-between;align-items:baseline;gap:.6rem;font-weight:600;
 border-bottom:1px solid var(--edge);padding:.15rem 0 .2rem;margin-top:.2rem}
.ms-h span:last-child{font-weight:400;font-size:.8rem}
.ms-big{font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}
.ms-bar{position:relative;display:flex;height:26px;border-radius:5px;overflow:hidden;background:var(--wash);
 box-shadow:inset 0 0 0 1px var(--edge)}
.ms-bar>i{display:flex;align-items:center;justify-content:center;font-style:normal;font-size:.72rem;font-weight:700;
 color:#fff;text-shadow:0 0 3px rgba(0,0,0,.75);min-width:3px;
 overflow:hidden;border-right:1px solid rgba(255,255,255,.5)}
.ms-bar>i.ms-reserve{margin-left:auto;border:0;color:inherit;text-shadow:none;font-weight:600}
.ms-marks{position:relative;height:1.15rem;font-size:.72rem}
.ms-marks b{position:absolute;bottom:0;transform:translateX(-50%);font-weight:600;white-space:nowrap}
.ms-marks b.end{transform:translateX(-100%)}
.ms-ticks{position:relative;height:0}
.ms-ticks b{position:absolute;top:-26px;height:26px;width:0;border-left:2px dashed currentColor}
.ms-ticks b.flush{border-left-style:solid}
.ms-key{display:grid;grid-template-columns:1fr 1fr;gap:.05rem 1.1rem;margin:.4rem 0 0}
.ms-key div{display:flex;align-items:center;gap:.4rem;min-width:0}
.ms-key div>span:nth-child(2){flex:1;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.ms-chip{display:inline-flex;flex:none;align-items:center;justify-content:center;width:1.15rem;height:1.15rem;
 border-radius:3px;font-size:.68rem;font-weight:700;color:#fff;text-shadow:0 0 3px rgba(0,0,0,.8)}
.ms-chip.ms-reserve{color:inherit;text-shadow:none}
.ms-meter{height:7px;border-radius:4px;background:var(--wash);box-shadow:inset 0 0 0 1px var(--edge);overflow:hidden}
.ms-meter>i{display:block;height:100%;min-width:2px}
.ms-text{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--hue,var(--edge));
 background:var(--wash);padding:.35rem .55rem;border-radius:0 4px 4px 0;max-height:9.5rem;
 overflow:auto;margin-top:.3rem}
.ms-line{display:flex;gap:.5rem;align-items:flex-start;padding:.22rem 0}
.ms-line>div{min-width:0;flex:1;overflow-wrap:anywhere}
.ms details{margin:0}.ms summary{cursor:pointer;overflow-wrap:anywhere}
.ms summary:focus-visible{outline:2px solid currentColor;border-radius:3px}
.ms-tag{display:inline-block;border:1px solid var(--edge);border-radius:9px;padding:0 .45rem;font-size:.74rem;
 white-space:nowrap}
.ms-tag.bad{border-color:#c0392b;font-weight:600}
.ms-note{border-left:3px solid var(--hue,var(--soft));padding:.3rem .6rem;background:var(--wash);
 border-radius:0 4px 4px 0;overflow-wrap:anywhere}
.ms-note.bad{--hue:#c0392b}
.ms-dot{display:inline-block;width:.6rem;height:.6rem;border-radius:50%;background:var(--soft);margin-right:.4rem}
.ms-dot.on{background:light-dark(#0d6e6a,#4fbdb4);animation:ms-pulse 1.2s steps(2) infinite}
@keyframes ms-pulse{50%{opacity:.3}}
@media (prefers-reduced-motion:reduce){.ms-dot.on{animation:none}}
.st-key-conversation,.st-key-player-talk{flex-direction:column-reverse;justify-content:flex-start!important}
.st-key-conversation>div,.st-key-player-talk>div{flex:none!important;height:auto!important;margin-bottom:auto}
.ms-olds{content-visibility:auto;contain-intrinsic-size:auto 250rem}
.ms-old{padding:.45rem .7rem;border-radius:8px;margin:.25rem 0}
.ms-old.user{background:var(--wash)}
.ms-say{white-space:pre-wrap;overflow-wrap:anywhere}
"""
