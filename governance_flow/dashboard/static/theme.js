// Loaded before anything is drawn, so that a page does not flash in the wrong colours.
"use strict";
{
  let wanted = null;
  try {
    wanted = localStorage.getItem("theme");
  } catch {
    // Storage may be forbidden: then the system's preference holds.
  }
  if (wanted === "dark" || wanted === "light") document.documentElement.dataset.theme = wanted;
}
