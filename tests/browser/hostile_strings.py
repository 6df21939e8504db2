"""Fifty strings that try to run in a page that shows them, to break out of where they stand, or to change what stands around them.

Each that runs sets `window.executed`; none may.
"""

from __future__ import annotations

__all__ = ["HOSTILE"]

_RUN = "window.executed=1"

_MARKUP = [
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"<ScRiPt>{_RUN}</sCrIpT>",
    f"<img src=x onerror={_RUN}>",
    f"<img src=x onerror={_RUN} ",
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={_RUN}>",
    f"<body onload={_RUN}>",
    f"<details open ontoggle={_RUN}><summary>x</summary></details>",
    f"<video><source onerror={_RUN}></video>",
    f"<input autofocus onfocus={_RUN}>",
    f"<select autofocus onfocus={_RUN}>",
    f"<marquee onstart={_RUN}>x</marquee>",
    f"<iframe srcdoc='<script>parent.{_RUN}</script>'>",
    f"<iframe src=javascript:parent.{_RUN}>",
    f"<object data=javascript:{_RUN}>",
    f"<embed src=javascript:{_RUN}>",
    f"<a href=javascript:{_RUN} id=lure>click</a>",
    f"<form action=javascript:{_RUN}><button id=lure>go</button></form>",
    f"<base href=javascript:{_RUN}//>",
    f"<meta http-equiv=refresh content='0;url=javascript:{_RUN}'>",
    f"<link rel=stylesheet href=data:text/css,x onload={_RUN}>",
    "<style>*{display:none}</style>",
    f"<template><script>{_RUN}</script></template>",
    f"<noscript><img src=x onerror={_RUN}></noscript>",
    f"<textarea></textarea><img src=x onerror={_RUN}>",
    f"<!--><img src=x onerror={_RUN}>-->",
    f"<![CDATA[<img src=x onerror={_RUN}>]]>",
]

_BREAKING_OUT = [
    f'"><img src=x onerror={_RUN}>',
    f"'><img src=x onerror={_RUN}>",
    f'" onmouseover={_RUN} autofocus onfocus={_RUN} x="',
    f"javascript:{_RUN}",
    f"data:text/html,<script>{_RUN}</script>",
    f"&lt;img src=x onerror={_RUN}&gt;",
    f"&#60;script&#62;{_RUN}&#60;/script&#62;",
    f"{{{{constructor.constructor('{_RUN}')()}}}}",
    f"${{{_RUN}}}",
    f"`-{_RUN}-`",
    f"';{_RUN};//",
    f"\\u003cscript\\u003e{_RUN}\\u003c/script\\u003e",
]

_NAMES = [
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
]

_AROUND = [
    "safe\u202egnp.exe\u202c",
    "\u2066\u2067\u2068never closed",
    "z\u200be\u200br\u200bo w\u00adidth",
    "long " + "W" * 100,
]

HOSTILE = [*_MARKUP, *_BREAKING_OUT, *_NAMES, *_AROUND]
assert len(HOSTILE) == 50
