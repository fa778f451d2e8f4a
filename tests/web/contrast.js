// Texts of the page whose contrast with what is behind them is below 4.5, or 3 where they are large (WCAG AA).
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colours = [];
    for (let one = element; one; one = one.parentElement) {
      colours.unshift(getComputedStyle(one).backgroundColor);
      const gradient = getComputedStyle(one).backgroundImage.match(/^linear-gradient\(90deg, ((?:rgb|color)[^)]*\))/);
      if (gradient) {
        colours.splice(1, 0, gradient[1]); // the filled part of a bar
      }
    }
    return colours;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = { count: 0, low: [] };
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    const hidden = !element.checkVisibility({ visibilityProperty: true }) || element.closest(".unseen, :disabled, script, option");
    if (!text || hidden) {
      continue;
    }
    const style = getComputedStyle(element);
    const base = behind(element);
    const [one, other] = [luminance(over([...base, style.color])), luminance(over(base))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    found.count += 1;
    if (contrast < (large ? 3 : 4.5)) {
      found.low.push(`${text}: ${contrast.toFixed(2)}`);
    }
  }
  return found;
}
