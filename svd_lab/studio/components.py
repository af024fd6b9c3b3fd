"""Small pieces of HTML and widgets for the studio. Colours are JupyterLab's variables, so that dark themes stay readable."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence

import ipywidgets as widgets
from PIL import Image

# Labels are above their entries and cards wrap, so that a width of 390 pixels is enough.
STYLE = """<style>
.svd-studio {max-width: 940px; padding: 4px 2px 12px; overflow: visible;}
/* A bar sticks to the page only where none of the boxes around it scrolls by itself. */
:is(.jp-OutputArea-output, .jp-OutputArea-child, .jp-OutputArea, .jp-Cell-outputWrapper, .jp-Cell-outputArea,
  .jupyter-widgets-output-area, .lm-Widget.jupyter-widgets):has(.svd-bar) {overflow: visible;}
.svd-studio .svd-bar {position: sticky; bottom: 0; z-index: 5; flex-flow: row nowrap; align-items: center; gap: 10px; margin: 8px 0;
  padding: 6px 10px; overflow: visible; background: var(--jp-layout-color1, Canvas); border-radius: 8px;
  border: 1px solid var(--jp-border-color1, #8888); box-shadow: 0 -2px 8px #0002;}
.svd-studio .svd-bar > :first-child {flex: 1 1 auto; min-width: 0; overflow: visible;}
.svd-studio .svd-bar > :last-child {flex: none;}
.svd-studio .svd-bar .svd-note {margin: 2px 0;}
.svd-studio .svd-bar img {width: 128px;}
.svd-studio .svd-bar .svd-problem, .svd-studio .svd-bar [role=status] {max-height: 6.5em; overflow-y: auto;}
.svd-framed .svd-all {max-height: 420px; overflow-y: auto;}
.svd-studio :is(input, select, textarea, button, summary) {scroll-margin: 12px 0 170px;}  /* not under the bar */
@media (max-width: 600px) {
  .svd-studio .svd-bar {padding: 4px 6px; gap: 6px;}
  .svd-studio .svd-bar img {width: 64px;}
  .svd-studio .svd-bar button.jupyter-button {padding: 0 7px;}
  .svd-studio .svd-bar .svd-aside {display: none;}
  .svd-studio .svd-bar [role=status] {max-height: 3.2em;}
}
.svd-studio > *, .svd-studio .widget-html, .svd-studio .widget-html-content, .svd-studio .svd-flow > *
  {min-width: 0; max-width: 100%;}
.svd-studio h3 {margin: 4px 0 8px; font-size: 20px;}
.svd-studio h4 {margin: 14px 0 4px; font-size: 15px;}
.svd-studio .widget-html, .svd-studio .jupyter-widget-html {margin: 0; height: auto;}
.svd-studio .widget-html-content, .svd-studio .jupyter-widget-html-content
  {line-height: 1.5; font-size: 13px; overflow-wrap: anywhere; word-break: keep-all;}
.svd-studio .svd-flow {flex-flow: row wrap; gap: 10px; overflow: visible; margin: 5px 0;}
.svd-studio .svd-row {flex-flow: row wrap; gap: 4px; overflow: visible; align-items: center; margin: 3px 0;}
.svd-studio .svd-card {flex: 1 1 260px; max-width: min(460px, 100%); min-width: 0; padding: 8px 10px; border-radius: 8px;
  border: 1px solid var(--jp-border-color2, #8886); overflow: visible; box-sizing: border-box;}
.svd-studio .svd-wide {max-width: none; flex-basis: 100%;}
.svd-studio .svd-entry {flex-flow: column; height: auto; width: auto; margin: 0; align-items: stretch;}
.svd-studio .svd-entry > label {text-align: left; width: auto; font-weight: 600; font-size: 14px; margin: 0; max-width: none;}
.svd-studio .svd-entry > input, .svd-studio .svd-entry > select, .svd-studio .svd-entry > textarea
  {width: 100%; flex: none; box-sizing: border-box;}
.svd-studio .svd-entry > select {height: 28px;}
.svd-studio .svd-entry > .slider-container {flex: none; height: 24px;}
.svd-studio .svd-help, .svd-studio .svd-note {color: var(--jp-ui-font-color2, inherit);}
.svd-studio .svd-help {font-size: 12px; line-height: 1.45; margin-top: 2px;}
.svd-studio .svd-note {margin: 6px 0;}
.svd-studio .svd-empty {display: grid; place-items: center; aspect-ratio: 7 / 4; max-width: 448px; margin-top: 32px; opacity: .65;
  border: 1px dashed var(--jp-border-color1, #8888); border-radius: 6px; text-align: center;}
.svd-studio .svd-range {white-space: nowrap; opacity: .85;}
.svd-studio .svd-problem {color: var(--jp-error-color1, #d32f2f); font-weight: 600;}
.svd-studio .svd-good {color: var(--jp-success-color1, #2e7d32);}
.svd-studio button.jupyter-button {width: auto; min-width: 40px; border-radius: 6px;}
.svd-studio button.svd-preset {font-size: 12px; height: 24px; line-height: 24px; padding: 0 8px;}
.svd-studio progress {width: 100%; max-width: 560px; height: 14px; accent-color: var(--jp-brand-color1, #1976d2);}
.svd-studio img, .svd-studio video {max-width: 100%; border-radius: 6px; display: block;}
.svd-studio .svd-thumb {width: 92px;}
.svd-studio .svd-own {align-items: flex-end;}
.svd-studio .svd-own > .svd-entry {flex: 1 1 200px; max-width: 420px;}
.svd-studio .svd-pick {width: 100px; margin: 0; overflow: visible; align-items: stretch;}
.svd-studio .svd-pick.svd-chosen {outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 2px; border-radius: 6px;}
.svd-studio .svd-run {width: 168px; overflow: visible;}
.svd-studio .svd-diff {font-size: 12px; line-height: 1.4; margin-bottom: 3px;}
/* ipywidgets writes the number of files behind the label, and it is always (0) here. */
.svd-studio [class*=svd-upload] {font-size: 0;}
.svd-studio [class*=svd-upload]::after {font-size: var(--jp-widgets-font-size, 13px);}
.svd-studio .svd-upload-ko::after {content: "내 그림 올리기";}
.svd-studio .svd-upload-en::after {content: "Upload a picture";}
.svd-studio [class*=svd-upload] i {font-size: var(--jp-widgets-font-size, 13px);}
.svd-studio pre {padding: 8px; border-radius: 6px; background: var(--jp-layout-color2, #8882); color: inherit; overflow-x: auto;
  white-space: pre; font-size: 12px; overflow-wrap: normal;}
.svd-studio details {margin: 6px 0;}
.svd-studio summary {cursor: pointer; font-weight: 600;}
</style>"""


def button(text: str, action: Callable[[], object] | None, style: str = "", icon: str = "") -> widgets.Button:
    """Make a button that calls action() when it is pressed.

    Args:
        text: The label.
        action: Called without arguments; None leaves the button without one.
        style: ipywidgets' button_style: "", "primary", "warning", …
        icon: A Font Awesome name.
    """
    made = widgets.Button(description=text, button_style=style, icon=icon, layout=widgets.Layout(width="auto"))
    if action is not None:
        made.on_click(lambda _: action())
    return made


def bar(main: Sequence[widgets.Widget], aside: widgets.Widget) -> widgets.Box:
    """Put parts below each other with one beside them, in a bar that stays in sight at the lower edge of the page."""
    box = widgets.HBox([widgets.VBox(list(main)), aside])
    box.add_class("svd-bar")
    return box


def flow(parts: Sequence[widgets.Widget]) -> widgets.Box:
    """Put cards beside each other, wrapping where there is no room."""
    box = widgets.HBox(list(parts))
    box.add_class("svd-flow")
    return box


def card(parts: Sequence[widgets.Widget]) -> widgets.Box:
    """Frame parts, one below the other."""
    box = widgets.VBox(list(parts))
    box.add_class("svd-card")
    return box


def row(parts: Sequence[widgets.Widget]) -> widgets.Box:
    """Put buttons beside each other, wrapping."""
    box = widgets.HBox(list(parts))
    box.add_class("svd-row")
    return box


def keep_reachable(widget: widgets.Widget) -> None:
    """Let clicks arrive after the page was reloaded; call it for everything that is added to the panel.

    ipykernel 7.4 sends a page's message for a widget to the subshell that last changed the widget (its comm's
    `_reply_subshell_for`). If the page was reloaded during a run, that subshell is gone and the click is dropped ("Unknown
    subshell_id"). Here it goes to the subshell that the page asked for, as before 7.4.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, subshell: subshell
    for child in getattr(widget, "children", ()):
        keep_reachable(child)


def note(text: str) -> str:
    """A remark. text is HTML."""
    return f"<div class=svd-note>{text}</div>"


def problem(text: str) -> str:
    """An error message, which screen readers announce at once. text is plain."""
    return f"<div class=svd-problem role=alert>⚠ {html.escape(text)}</div>"


def status(text: str, kind: str = "") -> str:
    """The state of a run. text is HTML; kind is "", "good" or "problem"."""
    mark = {"good": "✅ ", "problem": "⚠ "}.get(kind, "")
    return f'<div role="status" aria-live="polite" class="svd-{kind or "plain"}">{mark}{text}</div>'


def progress_bar(share: float, name: str) -> str:
    """share: from 0 to 1."""
    return f'<progress max="100" value="{100 * share:.1f}" aria-label="{html.escape(name)}"></progress>'


def details(title: str, text: str) -> str:
    """Plain text that shows when its title is clicked."""
    return fold(title, f"<pre>{html.escape(text)}</pre>")


def fold(title: str, inside: str) -> str:
    """HTML that shows when its title is clicked."""
    return f"<details><summary>{html.escape(title)}</summary>{inside}</details>"


def placeholder(text: str) -> str:
    """A frame where a picture or video will appear."""
    return f"<div class=svd-empty>{html.escape(text)}</div>"


def data_url(data: bytes, kind: str) -> str:
    """`data` of MIME type `kind` as a data: URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def jpeg_url(picture: Image.Image, quality: int = 85) -> str:
    """A picture as a data: URL of a JPEG."""
    picture.convert("RGB").save(buffer := io.BytesIO(), "JPEG", quality=quality)
    return data_url(buffer.getvalue(), "image/jpeg")


def picture(image: Image.Image, name: str, width: int = 448) -> str:
    """A picture with its name above it, `width` pixels wide."""
    shown = f'<img src="{jpeg_url(image)}" alt="{html.escape(name)}" style="width:{width}px">'
    return f"<div class=svd-note>{html.escape(name)}</div>{shown}"


def small(url: str, name: str) -> str:
    """A picture or animation for the bar, from its data: URL."""
    return f'<img src="{url}" alt="{html.escape(name)}">'


def animation(data: bytes, name: str, width: int = 448) -> str:
    """An animated WebP with its name above it, `width` pixels wide."""
    shown = f'<img src="{data_url(data, "image/webp")}" alt="{html.escape(name)}" style="width:{width}px">'
    return f"<div class=svd-note>{html.escape(name)}</div>{shown}"


def video(data: bytes, name: str, width: int = 448) -> str:
    """An mp4 with its name above it, `width` pixels wide, that plays by itself in a loop."""
    attributes = f'aria-label="{html.escape(name)}" controls autoplay loop muted playsinline'
    shown = f'<video src="{data_url(data, "video/mp4")}" {attributes} style="width:{width}px"></video>'
    return f"<div class=svd-note>{html.escape(name)}</div>{shown}"


def code_block(text: str, about: str, copy: str) -> str:
    """Code below the sentence `about` and a button, labelled `copy`, that copies the code where the page permits it."""
    action = "navigator.clipboard && navigator.clipboard.writeText(this.parentNode.querySelector('pre').innerText)"
    return f'<div>{about} <button type=button onclick="{action}">{copy}</button><pre>{html.escape(text)}</pre></div>'
