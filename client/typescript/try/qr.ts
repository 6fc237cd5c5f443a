import { encode } from "uqr";

/** Returns a QR code as an image, dark on light in every theme, because not every app reads light on dark. */
export function qrCode(text: string, name: string): SVGElement {
  const { data, size } = encode(text, { border: 4 });
  const create = (type: string, attributes: Record<string, string>) => {
    const created = document.createElementNS("http://www.w3.org/2000/svg", type);
    for (const [attribute, value] of Object.entries(attributes)) created.setAttribute(attribute, value);
    return created;
  };
  const dark = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  const image = create("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": name, class: "qr" });
  image.append(
    create("rect", { width: `${size}`, height: `${size}`, fill: "#fff" }),
    create("path", { d: dark, fill: "#000", "shape-rendering": "crispEdges" }),
  );
  return image;
}
