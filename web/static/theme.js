// Runs before the first paint, as a plain script, so that a chosen theme does not
// flash in the other one. Without a choice the style sheet follows the system.
(() => {
  try {
    const chosen = localStorage.getItem('fxcast.theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be blocked; the system's theme is used.
  }
})();
