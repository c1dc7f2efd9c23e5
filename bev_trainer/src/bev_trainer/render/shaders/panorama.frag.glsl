// The sky as it will be shown, over the upper half of an octahedron.
layout(location = 0) out vec4 out_color;
uniform sampler2D noise_map;
uniform vec2 drift;
uniform float size;

void main() {
    vec2 turned = gl_FragCoord.xy / size * 2.0 - 1.0;
    vec2 flat_ray = vec2(turned.x + turned.y, turned.x - turned.y) * 0.5;
    vec3 ray = normalize(vec3(flat_ray, 1.0 - abs(flat_ray.x) - abs(flat_ray.y)));
    vec3 color = clear_sky(ray);
    // Clouds lie on a plane; they are bright at thin edges and grey below.
    vec2 plane = ray.xy / (max(ray.z, 0.0) + 0.09);
    float lod = max(log2(length(fwidth(plane)) * 10.0), 0.0);
    vec4 large = textureLod(noise_map, plane * 0.043 + drift, lod);
    vec4 small = textureLod(noise_map, plane * 0.171 - drift, lod);
    float thick = 0.66 * large.b + 0.26 * small.b + 0.08 * small.r;
    float cloud = sun_rgb_.w;
    float closed = smoothstep(0.85, 1.0, cloud);
    float cover = smoothstep(0.74 - 0.64 * cloud, 0.98 - 0.52 * cloud, thick);
    float to_sun = max(dot(ray, sun_.xyz), 0.0);
    vec3 bright = horizon_rgb_.rgb * 0.62 + sun_rgb_.rgb * (0.20 + 0.25 * to_sun * to_sun * to_sun) + sky_rgb_.rgb * 0.18;
    vec3 veil = bright * mix(1.0, 0.58, smoothstep(0.35, 0.95, thick));
    veil = mix(veil, mix(horizon_rgb_.rgb, zenith_rgb_.rgb, 0.6 * ray.z) * (0.70 + 0.50 * thick), closed);
    float rise = smoothstep(0.0, 0.20, ray.z);
    color = mix(color, veil, cover * rise * mix(0.92, 0.85, closed));
    float disc = smoothstep(0.99985, 0.99996, to_sun) * (1.0 - cover);
    color += sun_rgb_.rgb * disc * 12.0;
    // Fog and rain close the sky as well.
    float veiled = haze_share(130.0 / (ray.z + 0.05)) * step(0.002, horizon_rgb_.w);
    out_color = vec4(shown_at(mix(color, horizon_rgb_.rgb, veiled), sky_rgb_.w), 1.0);
}
