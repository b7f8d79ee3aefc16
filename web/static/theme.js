// A plain script that runs before the first paint, so that the page does not flash in the wrong
// theme. Without a choice, the style sheet follows the system.
(() => {
  try {
    const chosen = localStorage.getItem('fxcast.theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be blocked; the system's theme is used.
  }
})();
